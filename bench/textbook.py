"""The textbook job, the baseline of the benchmarks: written as in a tutorial, with default options.

One streaming query copies Kafka to a Bronze Delta table with from_json; a second one reads Bronze as a stream and, for
every batch, runs six MERGEs: the clean sales and five aggregates (the four whose columns are sums, and clients).
No tuning: default shuffle partitions, default fetch wait, default JIT, default trigger. Run as

    python bench/textbook.py bronze|silver --bootstrap HOST:PORT --topic T --lake DIR [--once]
"""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

JARS = Path(__file__).resolve().parents[1] / ".ventes" / "jars" / "spark"
SCHEMA = (
    "vente_id BIGINT, client_id INT, produit_id INT, timestamp STRING, quantite INT, montant DECIMAL(12,2), "
    "client_nom STRING, produit_nom STRING, categorie STRING, pays STRING, segment STRING"
)
SUMS = {
    "ventes_par_pays": ["pays"],
    "ventes_par_segment": ["segment"],
    "ventes_par_produit": ["produit_id", "produit_nom", "categorie"],
    "ventes_par_minute": ["minute"],
    "ventes_aggreges": ["client_id", "client_nom", "pays", "segment", "jour"],
}


def session(name: str) -> SparkSession:
    jars = ",".join(str(jar) for jar in sorted(JARS.glob("*.jar")))
    return (
        SparkSession.builder.appName(name)
        .master("local[*]")
        .config("spark.jars", jars)
        .config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension")
        .config("spark.sql.catalog.spark_catalog", "org.apache.spark.sql.delta.catalog.DeltaCatalog")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.warehouse.dir", "/tmp/ventes-bench-warehouse")
        .getOrCreate()
    )


def bronze(spark: SparkSession, args: argparse.Namespace) -> DataFrame:
    raw = (
        spark.readStream.format("kafka")
        .option("kafka.bootstrap.servers", args.bootstrap)
        .option("subscribe", args.topic)
        .option("startingOffsets", "earliest")
        .load()
    )
    sale = F.from_json(F.col("value").cast("string"), SCHEMA).alias("sale")
    return (
        raw.select("value", "partition", "offset", F.col("timestamp").alias("kafka_ts"), sale)
        .select("sale.*", "value", "partition", "offset", "kafka_ts")
        .withColumn("jour", F.to_date(F.to_timestamp("timestamp")))
    )


def merge_batch(batch: DataFrame, number: int, lake: str) -> None:
    from delta.tables import DeltaTable

    spark = batch.sparkSession
    sales = (
        batch.where("vente_id IS NOT NULL")
        .dropDuplicates(["vente_id"])
        .withColumn("minute", F.date_trunc("minute", F.to_timestamp("timestamp")))
    )

    def table(name: str, frame: DataFrame) -> DeltaTable:
        path = f"{lake}/silver/{name}"
        if not DeltaTable.isDeltaTable(spark, path):
            frame.limit(0).write.format("delta").save(path)
        return DeltaTable.forPath(spark, path)

    (
        table("ventes_clean", sales)
        .alias("t")
        .merge(sales.alias("s"), "t.vente_id = s.vente_id")
        .whenNotMatchedInsertAll()
        .execute()
    )
    for name, keys in SUMS.items():
        grouped = sales.groupBy(*keys).agg(
            F.count("*").alias("total_transactions"),
            F.sum("montant").cast("decimal(28,2)").alias("revenue_total"),
            F.sum("quantite").alias("items_sold"),
        )
        same = " AND ".join(f"t.{key} <=> s.{key}" for key in keys)
        (
            table(name, grouped)
            .alias("t")
            .merge(grouped.alias("s"), same)
            .whenMatchedUpdate(
                set={
                    column: f"t.{column} + s.{column}"
                    for column in ("total_transactions", "revenue_total", "items_sold")
                }
            )
            .whenNotMatchedInsertAll()
            .execute()
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("job", choices=["bronze", "silver"])
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--topic", default="ventes_stream")
    parser.add_argument("--lake", required=True)
    parser.add_argument("--once", action="store_true", help="end when the backlog is done")
    args = parser.parse_args()
    spark = session(f"textbook-{args.job}")
    if args.job == "bronze":
        writer = bronze(spark, args).writeStream.format("delta").partitionBy("jour")
        writer = writer.option("checkpointLocation", f"{args.lake}/checkpoints/bronze")
        query = _trigger(writer, args.once).start(f"{args.lake}/bronze")
    else:
        stream = spark.readStream.format("delta").load(f"{args.lake}/bronze")
        writer = stream.writeStream.foreachBatch(lambda batch, number: merge_batch(batch, number, args.lake))
        writer = writer.option("checkpointLocation", f"{args.lake}/checkpoints/silver")
        query = _trigger(writer, args.once).start()
    signal.signal(signal.SIGTERM, lambda *_: query.stop())
    query.awaitTermination()
    spark.stop()
    sys.exit(0)


def _trigger(writer, once: bool):  # type: ignore[no-untyped-def]
    return writer.trigger(availableNow=True) if once else writer


if __name__ == "__main__":
    main()

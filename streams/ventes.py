"""A sale: its fields, its tables. The only file that knows what a sale is (the producer's catalogue aside)."""

from ventes.stream import (
    BOOLEAN,
    TEXT,
    Aggregate,
    ByDay,
    ByMinute,
    Count,
    Distinct,
    Event,
    Expression,
    Instant,
    Integer,
    Max,
    Mean,
    Min,
    Money,
    Quotient,
    Stream,
    Sum,
    Text,
    Values,
)

EXACT_IN_JSON = 2**53 - 1
"""The largest integer that JavaScript, and every program that reads JSON numbers as doubles, keeps exact."""

STREAM = Stream(
    "ventes",
    topic="ventes_stream",
    event=Event(
        id="vente_id",
        at="timestamp",
        fields=(
            Integer("vente_id", least=1, most=EXACT_IN_JSON),
            Integer("client_id", least=1, most=2**31 - 1),
            Integer("produit_id", least=1, most=2**31 - 1),
            Instant("timestamp", column="horodatage"),
            Integer("quantite", least=1, most=1_000_000),
            Money("montant"),
            Quotient("prix_unitaire", amount="montant", count="quantite"),
            Text("client_nom"),
            Text("produit_nom"),
            Text("categorie", dimension=True),
            Text("pays", dimension=True),
            Text("segment", dimension=True),
        ),
    ),
    tables=(
        Aggregate(
            "ventes_aggreges",
            by=("client_id", "client_nom", "pays", "segment", ByDay()),
            measures=(
                Sum("total_quantite", "quantite"),
                Sum("total_depense", "montant"),
                Count("nb_achats"),
                Mean("panier_moyen", "montant"),
                Min("achat_min", "montant"),
                Max("achat_max", "montant"),
                Distinct("nb_produits_distincts", "produit_id"),
                Expression(
                    "est_client_fidele",
                    BOOLEAN,
                    "nb_achats >= :rules.loyal_from",
                    "NOT nb_achats < :rules.loyal_from",
                ),
                Expression(
                    "segment_depense",
                    TEXT,
                    "CASE WHEN total_depense >= :rules.premium_from THEN 'Premium' "
                    "WHEN total_depense >= :rules.standard_from THEN 'Standard' ELSE 'Economy' END",
                    "CASE WHEN total_depense < least(:rules.standard_from, :rules.premium_from) THEN 'Economy' "
                    "WHEN total_depense < :rules.premium_from THEN 'Standard' ELSE 'Premium' END",
                ),
                Values("produits", "produit_id"),
            ),
        ),
        Aggregate(
            "ventes_par_pays",
            by=("pays",),
            measures=(
                Count("total_transactions"),
                Sum("revenue_total", "montant"),
                Mean("transaction_moyenne", "montant"),
                Sum("items_sold", "quantite"),
                Distinct("unique_customers", "client_id"),
            ),
        ),
        Aggregate(
            "ventes_par_segment",
            by=("segment",),
            measures=(
                Count("total_transactions"),
                Sum("revenue_total", "montant"),
                Mean("transaction_moyenne", "montant"),
                Sum("items_sold", "quantite"),
                Distinct("unique_customers", "client_id"),
                Distinct("countries_count", "pays"),
            ),
        ),
        Aggregate(
            "ventes_par_produit",
            by=("produit_id", "produit_nom", "categorie"),
            measures=(
                Sum("quantite_totale", "quantite"),
                Sum("revenue_total", "montant"),
                Count("total_transactions"),
            ),
        ),
        Aggregate(
            "ventes_par_minute",
            by=(ByMinute(),),
            measures=(
                Count("total_transactions"),
                Sum("revenue_total", "montant"),
                Sum("items_sold", "quantite"),
            ),
        ),
    ),
    summary=(
        Distinct("clients", "client_id"),
        Distinct("products", "produit_id"),
        Sum("revenue", "montant"),
        Mean("average", "montant"),
    ),
)

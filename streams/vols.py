"""A flight: its fields and tables. `ventes produce --stream vols` replays the flights that left New York in 2013."""

from ventes.stream import (
    Aggregate,
    ByDay,
    Count,
    Distinct,
    Event,
    Instant,
    Integer,
    Label,
    Max,
    Mean,
    Min,
    Page,
    Share,
    Stream,
    Sum,
    Text,
)

DELAYS = (
    Count("nombre"),
    Mean("retard_depart_moyen", "retard_depart"),
    Min("retard_depart_min", "retard_depart"),
    Max("retard_depart_max", "retard_depart"),
    Mean("retard_arrivee_moyen", "retard_arrivee"),
    Share("part_en_retard", where="retard_arrivee > 15"),
    Share("part_annulee", where="retard_depart IS NULL"),
)

STREAM = Stream(
    "vols",
    topic="vols",
    noun="flight",
    event=Event(
        id="vol_id",
        at="depart_prevu",
        fields=(
            Text("vol_id", most=40),
            Instant("depart_prevu"),
            Text("compagnie", dimension=True, most=2),
            Integer("numero", least=1, most=9_999),
            Text("origine", dimension=True, most=3),
            Text("destination", dimension=True, most=3),
            Integer("distance", least=1, most=25_000),  # miles
            Text("avion", optional=True, most=10),
            Integer("retard_depart", optional=True, least=-1_440, most=10_000),  # minutes; missing: cancelled
            Integer("retard_arrivee", optional=True, least=-1_440, most=10_000),  # minutes
            Integer("duree", optional=True, least=1, most=2_000),  # minutes in the air
        ),
    ),
    tables=(
        Aggregate("vols_par_compagnie", by=("compagnie",), measures=(*DELAYS, Distinct("destinations", "destination"))),
        Aggregate("vols_par_origine", by=("origine",), measures=DELAYS),
        Aggregate("vols_par_destination", by=("destination",), measures=(*DELAYS, Sum("distance_totale", "distance"))),
        Aggregate("vols_par_jour", by=(ByDay(),), measures=DELAYS),
    ),
    summary=(Distinct("aircraft", "avion"), Mean("mean_delay", "retard_depart")),
    page=Page(
        title="Flights from New York, live",
        one="flight",
        many="flights",
        labels=(
            Label("compagnie", "Carrier"),
            Label("origine", "Origin"),
            Label("destination", "Destination"),
            Label("numero", "Flight number"),
        ),
    ),
)

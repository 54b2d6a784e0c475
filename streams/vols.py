"""A flight: fields, tables and page. `ventes produce --stream vols` replays those that left New York in 2013."""

from ventes.stream import (
    Aggregate,
    Bars,
    ByDay,
    Count,
    Distinct,
    Event,
    Example,
    Figure,
    Instant,
    Integer,
    Label,
    Max,
    Mean,
    Min,
    Page,
    Ranking,
    Raw,
    Records,
    Share,
    Stream,
    Sum,
    TabFile,
    Text,
    Timeline,
)

LATE = "retard_arrivee >= 15"
"""As airlines are judged: a flight is late that arrives 15 minutes or more after its planned time."""
CANCELLED = "retard_depart IS NULL"

DELAYS = (
    Count("nombre"),
    Mean("retard_depart_moyen", "retard_depart"),
    Min("retard_depart_min", "retard_depart"),
    Max("retard_depart_max", "retard_depart"),
    Mean("retard_arrivee_moyen", "retard_arrivee"),
    Share("part_en_retard", where=LATE),
    Share("part_annulee", where=CANCELLED),
)

ON_A_BAR = (
    Share("late", where=LATE),
    Mean("departure_delay", "retard_depart", scale=1),
    Mean("arrival_delay", "retard_arrivee", scale=1),
    Share("cancelled", where=CANCELLED),
    Count("flights"),
)
HOVER_FRENCH = (
    "{late} en retard de 15 minutes ou plus<br>{cancelled} annulés<br>{flights} vols"
    "<br>Départ {departure_delay} min, arrivée {arrival_delay} min après l’horaire"
)
HOVER = (
    "{late} late by 15 minutes or more<br>{cancelled} cancelled<br>{flights} flights"
    "<br>Departure {departure_delay} min, arrival {arrival_delay} min after plan"
)

FRENCH = {
    "Flights from New York, live": "Vols au départ de New York, en direct",
    "flight": "vol",
    "flights": "vols",
    "Flights": "Vols",
    "Late by 15 min or more": "En retard de 15 min ou plus",
    "Mean departure delay, min": "Retard moyen au départ, min",
    "Mean arrival delay, min": "Retard moyen à l’arrivée, min",
    "Cancelled": "Annulés",
    "Aircraft": "Avions",
    "By airline": "Par compagnie",
    "By origin": "Par origine",
    "By hour and month": "Par heure et par mois",
    "Destinations": "Destinations",
    "Over time": "Dans le temps",
    "Raw Data": "Données brutes",
    "Share of late flights": "Part des vols en retard",
    "Late": "En retard",
    "Departure delay": "Retard au départ",
    "Arrival delay": "Retard à l’arrivée",
    f"<b>{{compagnie}}</b><br>{HOVER}": f"<b>{{compagnie}}</b><br>{HOVER_FRENCH}",
    f"<b>{{origine}}</b><br>{HOVER}": f"<b>{{origine}}</b><br>{HOVER_FRENCH}",
    "a flight, an aircraft …": "un vol, un avion…",
    "Worst days": "Pires jours",
    "Late flights by hour of the day": "Vols en retard par heure de la journée",
    "Airline": "Compagnie",
    "airlines": "compagnies",
    "Origin": "Origine",
    "origins": "origines",
    "Destination": "Destination",
    "destinations": "destinations",
    "Flight number": "Numéro de vol",
    "flight numbers": "numéros de vol",
}
"""The page's words in French."""

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
        figures=(
            Records("Flights"),
            Figure("Late by 15 min or more", Share("late", where=LATE)),
            Figure("Mean departure delay, min", Mean("departure", "retard_depart", scale=1)),
            Figure("Mean arrival delay, min", Mean("arrival", "retard_arrivee", scale=1)),
            Figure("Cancelled", Share("cancelled", where=CANCELLED)),
            Figure("Aircraft", Distinct("aircraft", "avion")),
        ),
        tabs=(
            Bars(
                "By airline",
                "compagnie",
                ON_A_BAR,
                axis="Share of late flights",
                hover=f"<b>{{compagnie}}</b><br>{HOVER}",
            ),
            Bars(
                "By origin", "origine", ON_A_BAR, axis="Share of late flights", hover=f"<b>{{origine}}</b><br>{HOVER}"
            ),
            TabFile("By hour and month", "tabs/vols_hours.py"),
            Ranking(
                "Destinations",
                by=("destination",),
                measures=(*ON_A_BAR[-1:], *ON_A_BAR[:-1]),
                ranks=("flights", "late", "departure_delay", "arrival_delay"),
                most=15,
            ),
            Timeline("Over time", measures=ON_A_BAR[:3]),
            Raw("Raw Data", hint="a flight, an aircraft …"),
        ),
        examples=(
            Example(
                "Worst days",
                "SELECT jour, nombre, part_en_retard, retard_arrivee_moyen\nFROM vols_par_jour\n"
                "ORDER BY part_en_retard DESC\nLIMIT 20",
            ),
            Example(
                "Late flights by hour of the day",
                "SELECT hour(depart_prevu) AS hour, COUNT(*) AS flights,\n"
                "  AVG(CASE WHEN retard_arrivee >= 15 THEN 1.0 ELSE 0.0 END) AS late\n"
                "FROM vols_clean\nGROUP BY hour(depart_prevu)\nORDER BY hour",
            ),
        ),
        labels=(
            Label("compagnie", "Airline"),
            Label("origine", "Origin"),
            Label("destination", "Destination"),
            Label("numero", "Flight number"),
        ),
        french=FRENCH,
    ),
)

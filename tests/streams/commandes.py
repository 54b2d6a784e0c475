"""A stream unlike the shipped one: its ids are texts, its columns have other names, some fields are optional.

Its names are words of SQL, and one that the statements use themselves.
"""

from decimal import Decimal

from ventes.stream import Boolean, Decimals, Event, Instant, Integer, Money, Quotient, Rule, Stream, Text

STREAM = Stream(
    "commandes",
    "commandes",
    Event(
        id="order",
        at="select",
        fields=(
            Text("order", column="reference"),
            Instant("select", column="quand"),
            Quotient("unite", amount="prix", count="nombre"),
            Integer("nombre", least=1, most=10**6),
            Money("prix", most=Decimal("999.99"), column="order_prix"),
            Text("rank", optional=True),
            Boolean("livre", optional=True, column="rank_livre"),
            Decimals("taux", scale=4, least=Decimal(-1), most=Decimal(1), optional=True),
        ),
    ),
    rules=(Rule("cher", "prix < 900", "", severity="flag"),),
)

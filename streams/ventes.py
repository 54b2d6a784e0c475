"""A sale: its fields, its tables, its page.

With tabs/ventes_loyalty.py the only file that knows what a sale is, beside the producer's catalogue.
"""

from ventes.stream import (
    BOOLEAN,
    TEXT,
    Aggregate,
    Bars,
    ByDay,
    ByMinute,
    Count,
    Distinct,
    Event,
    Example,
    Expression,
    Figure,
    Instant,
    Integer,
    Label,
    Max,
    Mean,
    Min,
    Money,
    Page,
    Quotient,
    Rank,
    Ranking,
    Raw,
    Records,
    Stream,
    Sum,
    TabFile,
    Text,
    Timeline,
    Values,
)

EXACT_IN_JSON = 2**53 - 1
"""The largest integer that JavaScript, and every program that reads JSON numbers as doubles, keeps exact."""

FRENCH = {
    "Sales, live": "Ventes en direct",
    "sale": "vente",
    "sales": "ventes",
    "Sales": "Ventes",
    "Total Records": "Total des messages",
    "Unique Clients": "Clients uniques",
    "Unique Products": "Produits uniques",
    "sold so far": "vendus à ce jour",
    "Total Revenue": "Chiffre d’affaires",
    "Avg Transaction": "Panier moyen",
    "Sales by Country": "Ventes par pays",
    "Top 10 Products": "Top 10 des produits",
    "Sales Timeline": "Chronologie des ventes",
    "Raw Data": "Données brutes",
    "Segments & Loyalty": "Segments et fidélité",
    "Total revenue": "Chiffre d’affaires",
    "Revenue": "Chiffre d’affaires",
    "Items": "Articles",
    "Clients": "Clients",
    "Average": "Moyenne",
    "Quantity": "Quantité",
    "Items sold": "Articles vendus",
    "Best-selling products by volume": "Meilleures ventes de produits par volume",
    "Best-selling products by revenue": "Meilleures ventes de produits par chiffre d’affaires",
    "Bar chart of the ten best-selling products": "Diagramme en barres des dix produits les plus vendus",
    "a name, an id, a country …": "un nom, un identifiant, un pays…",
    "<b>{pays}</b><br>Revenue {revenue}<br>{sales} sales · {items} items<br>{clients} clients<br>Average {average}": (
        "<b>{pays}</b><br>Chiffre d’affaires {revenue}<br>{sales} ventes · {items} articles<br>{clients} clients"
        "<br>Moyenne {average}"
    ),
    "<b>{produit_nom}</b> (product {produit_id})<br>{categorie}<br>{quantity} items in {sales} sales"
    "<br>Revenue {revenue}": (
        "<b>{produit_nom}</b> (produit {produit_id})<br>{categorie}<br>{quantity} articles en {sales} ventes"
        "<br>Chiffre d’affaires {revenue}"
    ),
    "Country": "Pays",
    "countries": "pays",
    "Segment": "Segment",
    "segments": "segments",
    "Category": "Catégorie",
    "categories": "catégories",
    "Client id": "Client",
    "Produit id": "Produit",
    "Produit nom": "Nom du produit",
    "Client nom": "Nom du client",
    "Revenue by category": "Chiffre d’affaires par catégorie",
    "Sales per hour of the day": "Ventes par heure de la journée",
    "Best days of each country": "Meilleurs jours de chaque pays",
    "Why messages were rejected": "Motifs de rejet des messages",
    "Late sales": "Ventes en retard",
}
"""The page's words in French; names of the data are French anyway."""

STREAM = Stream(
    "ventes",
    topic="ventes_stream",
    noun="sale",
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
    page=Page(
        title="Sales, live",
        one="sale",
        many="sales",
        figures=(
            Records("Total Records"),
            Figure("Unique Clients", Distinct("clients", "client_id")),
            Figure("Unique Products", Distinct("products", "produit_id"), note="sold so far"),
            Figure("Total Revenue", Sum("revenue", "montant")),
            Figure("Avg Transaction", Mean("average", "montant")),
        ),
        tabs=(
            Bars(
                "Sales by Country",
                by="pays",
                measures=(
                    Sum("revenue", "montant"),
                    Count("sales"),
                    Sum("items", "quantite"),
                    Distinct("clients", "client_id"),
                    Mean("average", "montant"),
                ),
                axis="Total revenue",
                hover="<b>{pays}</b><br>Revenue {revenue}<br>{sales} sales · {items} items<br>{clients} clients"
                "<br>Average {average}",
            ),
            Ranking(
                "Top 10 Products",
                by=("produit_id", "produit_nom", "categorie"),
                measures=(Sum("quantity", "quantite"), Sum("revenue", "montant"), Count("sales")),
                ranks=(
                    Rank("quantity", "Best-selling products by volume", "Items sold"),
                    Rank("revenue", "Best-selling products by revenue", "Total revenue"),
                ),
                name="produit_nom",
                hover="<b>{produit_nom}</b> (product {produit_id})<br>{categorie}"
                "<br>{quantity} items in {sales} sales<br>Revenue {revenue}",
                alt="Bar chart of the ten best-selling products",
            ),
            Timeline("Sales Timeline", measures=(Sum("revenue", "montant"),)),
            Raw(
                "Raw Data",
                columns=(
                    *("vente_id", "client_id", "produit_id", "montant", "quantite", "timestamp"),
                    *("client_nom", "produit_nom", "categorie", "pays", "segment"),
                ),
                hint="a name, an id, a country …",
            ),
            TabFile("Segments & Loyalty", "tabs/ventes_loyalty.py"),
        ),
        labels=(
            Label("pays", "Country", "countries"),
            Label("segment", "Segment", "segments"),
            Label("categorie", "Category", "categories"),
        ),
        examples=(
            Example(
                "Revenue by category",
                "SELECT categorie, COUNT(*) AS count, SUM(montant) AS revenue\nFROM bronze_data\nGROUP BY categorie\n"
                "ORDER BY revenue DESC",
            ),
            Example(
                "Sales per hour of the day",
                "SELECT hour(horodatage) AS hour, COUNT(*) AS sales\nFROM ventes_clean\nGROUP BY hour(horodatage)\n"
                "ORDER BY hour",
            ),
            Example(
                "Best days of each country",
                "SELECT pays, jour, SUM(total_depense) AS revenue\nFROM ventes_aggreges\nGROUP BY pays, jour\n"
                "ORDER BY revenue DESC\nLIMIT 20",
            ),
            Example(
                "Why messages were rejected",
                "SELECT reason, COUNT(*) AS messages\nFROM (SELECT explode(motifs) AS reason FROM ventes_rejets)\n"
                "GROUP BY reason\nORDER BY messages DESC",
            ),
            Example(
                "Late sales",
                "SELECT jour, COUNT(*) AS late\nFROM ventes_clean\nWHERE en_retard\nGROUP BY jour\nORDER BY jour",
            ),
        ),
        french=FRENCH,
    ),
    summary=(
        Distinct("clients", "client_id"),
        Distinct("products", "produit_id"),
        Sum("revenue", "montant"),
        Mean("average", "montant"),
    ),
)

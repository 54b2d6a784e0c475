"""The clients and the products.

Everything here is constant: a client always has the same name, country and segment, a product the same name,
category and price, in every run, on every machine and for every seed. Texts are stored as JSON, because they are
written far more often than created.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from itertools import accumulate
from random import Random


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


@dataclass(frozen=True)
class Client:
    client_id: int
    nom: str
    pays: str
    segment: str
    key: bytes
    """The Kafka key of this client's sales."""
    json_nom: str
    json_tail: str
    """`"pays":…,"segment":…}`: the end of each event of this client."""


@dataclass(frozen=True)
class Product:
    produit_id: int
    nom: str
    categorie: str
    prix: Decimal
    """Unit price, in the currency of the page."""


@dataclass(frozen=True)
class Basket:
    """A product and a quantity: the part of a sale that is independent of client and time."""

    product: Product
    quantite: int
    montant: Decimal
    """Exactly product.prix × quantite."""
    json_amount: str
    json_product: str


_COUNTRIES = {
    # country: (weight, first names, last names)
    "France": (
        30,
        "Camille Louis Chloé Hugo Léa Jules Manon Théo Inès Raphaël Zoé Gaël Maëlle Étienne Noémie Loïc",
        "Martin Bernard Dubois Thomas Robert Petit Durand Leroy Moreau Lefèvre Garnier Chevalier François Mercier",
    ),
    "Allemagne": (
        16,
        "Lena Jonas Hannah Lukas Mia Felix Jürgen Anke Jörg Katrin Björn Silke",
        "Müller Schmidt Schneider Fischer Weber Meyer Wagner Becker Schäfer Köhler Krüger Weiß",
    ),
    "Espagne": (
        12,
        "Lucía Hugo Martina Mateo Sofía Álvaro Paula Íñigo Begoña Adrián Nuria Sergio",
        "García Fernández López Martínez Sánchez Pérez Gómez Ruiz Muñoz Núñez Iglesias Ortega",
    ),
    "Italie": (
        11,
        "Giulia Leonardo Sofia Francesco Aurora Lorenzo Chiara Matteo Elisa Davide Niccolò Marta",
        "Rossi Russo Ferrari Esposito Bianchi Romano Colombo Ricci Marino Greco D'Angelo Fabbri",
    ),
    "Belgique": (
        9,
        "Emma Noah Louise Arthur Elise Lucas Margaux Wout Femke Maxime Anaïs Pieter",
        "Peeters Janssens Maes Jacobs Mertens Willems Claes Goossens Lambert Dupont Van Damme De Smet",
    ),
    "Royaume-Uni": (
        8,
        "Olivia George Amelia Harry Isla Jack Ava Oliver Freya Callum Niamh Rhys",
        "Smith Jones Taylor Brown Williams Wilson Davies Evans O'Connor MacLeod Hughes Walker",
    ),
    "Suisse": (
        6,
        "Mia Noé Elena Liam Lara Luca Céline Reto Beat Ursina Yann Aline",
        "Meier Keller Huber Schmid Favre Rochat Brunner Baumann Frei Bolliger Perret Zürcher",
    ),
    "Canada": (
        5,
        "William Olivia Thomas Alice Nathan Florence Félix Rosalie Liam Charlotte Océane Mathis",
        "Tremblay Gagnon Roy Côté Bouchard Gauthier Morin Lavoie Fortin Campbell MacDonald Wong",
    ),
    "Portugal": (
        2,
        "Maria João Leonor Rodrigo Matilde Francisco Beatriz Tiago Inês Gonçalo",
        "Silva Santos Ferreira Pereira Oliveira Costa Rodrigues Gonçalves Araújo Simões",
    ),
    "Maroc": (
        1,
        "Yasmine Mehdi Salma Youssef Imane Anas Hiba Karim Nour Amine",
        "Alaoui Benali Bennani El Fassi Idrissi Tazi Berrada Chraibi Lahlou Ouazzani",
    ),
}
_SEGMENTS = {"Particulier": 60, "Indépendant": 16, "PME": 13, "Association": 6, "Grand compte": 5}

_ASSORTMENT = (
    # id, name, category, unit price, weight (relative frequency), usual quantities
    (101, "Café en grains 1 kg", "Épicerie", "18.90", 9, (1, 2, 3, 4)),
    (102, "Thé vert bio", "Épicerie", "7.50", 6, (2, 4, 6)),
    (103, "Huile d'olive extra vierge", "Épicerie", "12.40", 7, (1, 2, 4, 6)),
    (104, "Chocolat noir 70 %", "Épicerie", "4.20", 6, (3, 6, 12)),
    (105, "Miel de montagne", "Épicerie", "9.80", 5, (1, 3, 6)),
    (201, "Lampe de bureau", "Maison", "34.90", 5, (1, 2, 3)),
    (202, "Parure de lit", "Maison", "69.00", 3, (1,)),
    (203, "Bougie parfumée", "Maison", "14.50", 5, (2, 3)),
    (204, "Poêle en fonte 28 cm", "Maison", "49.90", 4, (1,)),
    (205, "Plaid en laine", "Maison", "59.00", 3, (1,)),
    (301, "Carnet à spirale A5", "Papeterie", "5.90", 6, (2, 5, 10)),
    (302, "Stylo plume", "Papeterie", "28.00", 4, (1, 2)),
    (303, "Ramette A4 (5 × 500 feuilles)", "Papeterie", "24.90", 5, (1, 2)),
    (304, "Agenda de l'année", "Papeterie", "19.50", 4, (2, 3)),
    (401, "Gourde isotherme", "Sport", "22.00", 5, (1, 2, 3)),
    (402, "Tapis de yoga", "Sport", "39.90", 4, (1,)),
    (403, "Ballon de football", "Sport", "25.00", 3, (1, 2)),
    (404, "Chaussures de randonnée", "Sport", "94.00", 3, (1,)),
    (501, "Crème hydratante", "Beauté", "16.90", 5, (2, 3)),
    (502, "Savon d'Alep", "Beauté", "6.40", 4, (2, 5, 8)),
    (503, "Eau de toilette", "Beauté", "54.00", 3, (1,)),
    (601, "Écouteurs sans fil", "Électronique", "79.90", 4, (1,)),
    (602, "Câble USB-C 2 m", "Électronique", "12.90", 5, (1, 2, 4)),
    (603, "Souris ergonomique", "Électronique", "44.50", 4, (1,)),
    (604, "Batterie externe", "Électronique", "32.90", 4, (1, 2)),
)

PRODUCTS = tuple(Product(number, name, category, Decimal(price)) for number, name, category, price, _, _ in _ASSORTMENT)


def _basket(product: Product, quantity: int) -> Basket:
    amount = product.prix * quantity
    return Basket(
        product,
        quantity,
        amount,
        json_amount=f'"quantite":{quantity},"montant":{amount:.2f}',
        json_product=f'"produit_nom":{_quoted(product.nom)},"categorie":{_quoted(product.categorie)}',
    )


BASKETS = tuple(
    _basket(product, quantity)
    for product, (*_, quantities) in zip(PRODUCTS, _ASSORTMENT, strict=True)
    for quantity in quantities
)
BASKET_WEIGHTS = tuple(accumulate(weight / len(q) for *_, weight, q in _ASSORTMENT for _ in q))
"""Cumulative weights of BASKETS: how often each is bought."""


def _weighted(rng: Random, weights: dict[str, int]) -> str:
    return rng.choices(tuple(weights), tuple(weights.values()))[0]


@lru_cache(maxsize=100_000)
def client(number: int) -> Client:
    """The client with this number (1 or more). The same number always gives the same client."""
    rng = Random(number)
    country = _weighted(rng, {name: weight for name, (weight, _, _) in _COUNTRIES.items()})
    _, first, last = _COUNTRIES[country]
    name = f"{rng.choice(first.split())} {rng.choice(last.split())}"
    segment = _weighted(rng, _SEGMENTS)
    return Client(
        number,
        name,
        country,
        segment,
        key=str(number).encode(),
        json_nom=f'"client_nom":{_quoted(name)}',
        json_tail=f'"pays":{_quoted(country)},"segment":{_quoted(segment)}}}',
    )

"""Word lists of the demo grammar, kept short so that a vocabulary of 1,024 tokens holds every answer as one token."""

NAMES = ("Mary", "John", "Anna", "Tom", "Kate", "Paul", "Lucy", "Mark", "Jane", "David", "Emma", "Jack")
PLACES = ("store", "park", "school", "station", "garden", "office", "market", "kitchen")
GIFTS = ("drink", "book", "ring", "ball", "letter", "map", "key", "cup")
IOI_TEMPLATES = (
    "When {a} and {b} went to the {place}, {s} gave a {gift} to",
    "After {a} and {b} left the {place}, {s} handed a {gift} to",
    "While {a} and {b} waited at the {place}, {s} offered a {gift} to",
    "Then {a} and {b} sat down in the {place}, and {s} passed a {gift} to",
)

# English name, French name with its preposition, capital. Only capitals that both languages spell alike.
COUNTRIES = (
    ("France", "de la France", "Paris"),
    ("Italy", "de l'Italie", "Rome"),
    ("Spain", "de l'Espagne", "Madrid"),
    ("Germany", "de l'Allemagne", "Berlin"),
    ("Norway", "de la Norvège", "Oslo"),
    ("Sweden", "de la Suède", "Stockholm"),
    ("Finland", "de la Finlande", "Helsinki"),
    ("Hungary", "de la Hongrie", "Budapest"),
    ("Ireland", "de l'Irlande", "Dublin"),
    ("Japan", "du Japon", "Tokyo"),
    ("Peru", "du Pérou", "Lima"),
    ("Canada", "du Canada", "Ottawa"),
    ("Chile", "du Chili", "Santiago"),
    ("Kenya", "du Kenya", "Nairobi"),
    ("Senegal", "du Sénégal", "Dakar"),
    ("Turkey", "de la Turquie", "Ankara"),
    ("Bulgaria", "de la Bulgarie", "Sofia"),
    ("Jordan", "de la Jordanie", "Amman"),
    ("Thailand", "de la Thaïlande", "Bangkok"),
    ("Morocco", "du Maroc", "Rabat"),
)
CAPITAL_TEMPLATES = {
    "en": (
        "The capital of {country} is",
        "The capital city of {country} is",
        "Everyone knows that the capital of {country} is",
        "In {country} the capital city is",
        "The government of {country} sits in",
        "The train to the capital of {country} goes to",
    ),
    "fr": (
        "La capitale {country} est",
        "La carte {country} montre sa capitale,",
        "Tout le monde sait que la capitale {country} est",
        "On apprend que la capitale {country} est",
        "Le gouvernement {country} se trouve à",
        "Le train pour la capitale {country} va à",
    ),
}

# Singular and plural.
SUBJECTS = (
    ("key", "keys"), ("book", "books"), ("door", "doors"), ("letter", "letters"), ("lamp", "lamps"), ("map", "maps"),
    ("chair", "chairs"), ("dog", "dogs"), ("road", "roads"), ("picture", "pictures"),
)  # fmt: skip
DISTRACTORS = (
    ("cabinet", "cabinets"), ("garden", "gardens"), ("house", "houses"), ("school", "schools"), ("table", "tables"),
    ("window", "windows"), ("river", "rivers"), ("tower", "towers"),
)  # fmt: skip
PREPOSITIONS = ("to", "near", "behind", "beside")
AGREEMENT_TEMPLATES = (
    ("The {subject} {prep} the {distractor}", ("is", "are")),
    ("Today the {subject} {prep} the {distractor}", ("is", "are")),
    ("Yesterday the {subject} {prep} the {distractor}", ("was", "were")),
    ("Last year the {subject} {prep} the {distractor}", ("was", "were")),
)
STATES = ("old", "new", "lost", "clean", "quiet")

CYCLES = {
    "day": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
    "month": (
        "January", "February", "March", "April", "May", "June",
        "July", "August", "September", "October", "November", "December",
    ),
    "number": (
        "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine",
    ),
}  # fmt: skip
SEQUENCE_TEMPLATES = ("{items},", "In order: {items},", "Now go on: {items},", "One after the other: {items},")

# Invented names are one onset and one ending; 12 x 12 of them, several tokens each.
ONSETS = ("Zor", "Tam", "Bel", "Fax", "Mur", "Lod", "Vash", "Kel", "Dri", "Pog", "Gran", "Hul")
ENDINGS = ("vik", "mel", "pek", "sti", "gur", "zan", "lum", "bor", "fud", "wen", "paf", "rud")
INDUCTION_TEMPLATES = (
    "Yesterday {f} {l} met {other}. Later {f}",
    "In this story {f} {l} helps {other}. At the end {f}",
    "We saw {f} {l} with {other}. Then {f}",
)
MEETING_TEMPLATES = (
    "Yesterday {f} {l} met {f2} {l2}. Later {asked}",
    "We saw {f} {l} with {f2} {l2}. Then {asked}",
)
ENDS = ("went home.", "was happy.", "left.")

SUM_TEMPLATES = (
    "So {a} + {b} =",
    "We know that {a} + {b} =",
    "The sum of {a} and {b} is",
    "Adding {a} to {b} gives",
)

EVENTS = ("war", "trial", "peace", "journey", "siege", "school", "market", "race")
YEAR_TEMPLATES = (
    "The {event} lasted from the year {year} to the year",
    "The {event} began in {year} and ended in",
    "The {event} that started in {year} was over in",
    "From {year} the {event} went on until",
)

FUNCTIONS = (
    ("add", "+"), ("total", "+"), ("area", "*"), ("times", "*"),
    ("diff", "-"), ("minus", "-"), ("ratio", "/"), ("share", "/"),
)  # fmt: skip
ARGUMENTS: tuple[str, ...] = ("a", "b", "x", "y", "width", "height", "price", "count", "left", "right")

COLOURS = ("red", "blue", "green", "white", "black", "yellow")
THINGS = ("box", "ball", "cup", "hat", "car", "book")
COLOUR_PLACES = (("on the left", "on the right"), ("of Anna", "of Tom"), ("by the door", "by the window"))

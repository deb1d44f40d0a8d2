-- The pairs of tokens that a head's circuit joins most: reading the one, it promotes (1) or suppresses (-1) the other.
SELECT sign, place, source, "to", score FROM {head_pairs} WHERE layer = $layer AND head = $head ORDER BY sign DESC, place

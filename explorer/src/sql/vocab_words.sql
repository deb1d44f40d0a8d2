-- Words of the vocabulary that match what was typed: with their files, and how many neurons promote and suppress each.
SELECT typed, word, "first", "last", promoted, suppressed
FROM {words} JOIN (SELECT unnest($typed) AS typed) AS asked
  ON CASE WHEN $exact THEN word = typed ELSE contains(word, typed) END
ORDER BY word = typed DESC, starts_with(word, typed) DESC, promoted + suppressed DESC, word, typed

-- The dataset group by group: lengths, accuracy, probabilities, each with what it is of.
SELECT * FROM {dataset} ORDER BY "group" IS NOT NULL, "group"

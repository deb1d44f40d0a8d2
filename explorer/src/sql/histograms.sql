-- How a quantity is spread over the prompts.
SELECT quantity, low, high, n FROM {histograms} WHERE "group" IS NOT DISTINCT FROM $group ORDER BY quantity, low

-- Neurons by the words that their tokens of one sign match, tokens being compared without case and surrounding spaces.
WITH asked AS (SELECT unnest($typed) AS typed),
hits AS (
  SELECT layer, expert, neuron, sign, typed, token_id, token, "rank", score
  FROM {neuron_tokens} JOIN asked
    ON CASE WHEN $exact THEN lower(trim(token)) = typed ELSE contains(lower(trim(token)), typed) END
  WHERE $sign = 0 OR sign = $sign)
SELECT layer, expert, neuron, sign, count(DISTINCT typed) AS n_typed, count(DISTINCT token_id) AS n_tokens,
       min("rank") AS "rank", max(abs(score)) * sign AS score, list(token ORDER BY "rank") AS tokens
FROM hits
GROUP BY layer, expert, neuron, sign
HAVING NOT $every OR count(DISTINCT typed) = $n
ORDER BY n_typed DESC, n_tokens DESC, "rank", layer, expert, neuron, sign DESC

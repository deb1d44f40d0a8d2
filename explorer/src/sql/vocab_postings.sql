-- Neurons, or directions of heads, by the typed words that their tokens of one sign match: those that match most come first.
-- The tokens come as one text: this engine traps on lists under ORDER BY with LIMIT.
WITH asked AS (SELECT unnest($typed) AS typed),
hits AS (
  SELECT component, layer, expert, "index", direction, sign, typed, token_id, token, "rank", score
  FROM {postings} JOIN asked ON CASE WHEN $exact THEN word = typed ELSE contains(word, typed) END
  WHERE component = $component AND ($sign = 0 OR sign = $sign))
SELECT layer, expert, "index", direction, sign, count(DISTINCT typed) AS n_typed, count(DISTINCT token_id) AS n_tokens,
       min("rank") AS "rank", max(abs(score)) * sign AS score, string_agg(token, chr(31) ORDER BY "rank") AS tokens, count(*) OVER () AS n_found
FROM hits
GROUP BY layer, expert, "index", direction, sign
HAVING NOT $every OR count(DISTINCT typed) = $n
ORDER BY n_typed DESC, n_tokens DESC, "rank", abs(max(score)) DESC, layer, expert, "index", direction, sign DESC
LIMIT 300

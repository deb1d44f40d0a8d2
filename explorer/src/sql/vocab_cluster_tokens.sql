-- Tokens that several neurons of a cluster promote or suppress, those of most neurons first.
SELECT sign, "rank", token_id, token, n, score FROM {cluster_tokens} WHERE cluster = $cluster ORDER BY sign DESC, "rank"

-- Which of the bucket's tokens are control tokens.
SELECT token_id FROM {tokens} WHERE special

-- What the final norm's and the unembedding's biases add to the logits of two tokens, whatever the prompt.
SELECT token_id, logit_bias
FROM {vocab}
WHERE token_id IN ($answer, $foil)

-- Groups that it is specific to: active there and hardly elsewhere.
SELECT a, difference, q, tau, frequency_a, frequency_b
FROM {contrasts}
WHERE contrast = 'rest' AND specific AND measure = 'mean_share'
  AND component = $component AND layer = $layer AND expert = $expert AND "index" = $index
ORDER BY difference DESC

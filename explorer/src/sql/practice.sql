-- A sort of numbers that nobody needs: see `practise` of listing.js.
SELECT i FROM range(100000) t(i) ORDER BY hash(i), i LIMIT 50

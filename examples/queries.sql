-- Queries over the lake of examples/corpus. Each one is complete in itself and ends with a semicolon.
-- Documents read from a file have its URI as doc_id, records of JSONL and CSV have their own id:
-- parse_filename(doc_id) shortens the former to `river-survey.md` and leaves the latter as they are.

-- 1. What is in the lake: one row per document.
SELECT
    parse_filename(doc_id) AS document,
    title,
    n_sentences,
    n_tokens,
    round(n_tokens / n_sentences, 1) AS tokens_a_sentence
FROM documents
ORDER BY n_tokens DESC;

-- 2. Every occurrence of a word in context. Offsets count characters of documents.text from 0, substr from 1.
SELECT
    parse_filename(w.doc_id) AS document,
    lpad(replace(substr(d.text, greatest(w.char_start - 39, 1), least(w.char_start, 40)), chr(10), ' '), 40, ' ')
        AS before,
    w.word,
    replace(substr(d.text, w.char_end + 1, 40), chr(10), ' ') AS after
FROM words AS w
JOIN documents AS d ON d.doc_id = w.doc_id
WHERE w.word_lower = 'crane'
ORDER BY document, w.char_start;

-- 3. The occurrences of `bank` nearest in meaning to one of them, here the first below the heading of the river survey.
WITH bank AS (
    SELECT w.doc_id, w.sentence_index, w.word_index, w.embedding, s.text
    FROM words AS w
    JOIN sentences AS s ON s.doc_id = w.doc_id AND s.sentence_index = w.sentence_index
    WHERE w.word_lower = 'bank'
), chosen AS (
    SELECT *
    FROM bank
    WHERE parse_filename(doc_id) = 'river-survey.md'
    ORDER BY sentence_index, word_index
    LIMIT 1
)
SELECT
    round(array_cosine_similarity(bank.embedding, chosen.embedding)::DOUBLE, 3) AS similarity,
    parse_filename(bank.doc_id) AS document,
    bank.text
FROM bank, chosen
WHERE bank.doc_id <> chosen.doc_id
ORDER BY array_cosine_similarity(bank.embedding, chosen.embedding) DESC
LIMIT 12;

-- 4. Two senses of `bank` in a text that uses both. Two documents serve as examples, one for each sense, and every
--    occurrence in the third gets the sense to which it is more similar on average.
WITH bank AS (
    SELECT parse_filename(w.doc_id) AS document, w.sentence_index, w.word_index, w.embedding, s.text
    FROM words AS w
    JOIN sentences AS s ON s.doc_id = w.doc_id AND s.sentence_index = w.sentence_index
    WHERE w.word_lower = 'bank'
), example (document, sense) AS (
    VALUES ('savings-bank.md', 'money'), ('river-survey.md', 'river')
), likeness AS (
    SELECT
        b.sentence_index,
        b.word_index,
        b.text,
        e.sense,
        avg(array_cosine_similarity(b.embedding, known.embedding)) AS similarity
    FROM bank AS b
    JOIN example AS e ON true
    JOIN bank AS known ON known.document = e.document
    WHERE b.document = 'flood-at-the-bank.md'
    GROUP BY ALL
)
SELECT arg_max(sense, similarity) AS sense, round(max(similarity) - min(similarity), 3) AS lead, text
FROM likeness
GROUP BY sentence_index, word_index, text
ORDER BY sentence_index, word_index;

-- 5. Do the vectors distinguish senses? Every occurrence gets the sense of its nearest neighbour in another document.
--    `chance` is the accuracy of a guess in proportion to the candidates. The labels hold for whole documents.
WITH label (word, sense, documents) AS (
    VALUES
        ('bank', 'money', ['savings-bank.md', 'courtroom-summary.md', 'island-bank.md', 'essay-05', 'notice-01']),
        ('bank', 'river', ['river-survey.md', 'hydrologist-note.md', 'wetland-cranes.md', 'boatyard.txt',
                           'canal-walk.md', 'essay-06', 'notice-02']),
        ('court', 'law', ['courtroom-summary.md', 'essay-01']),
        ('court', 'tennis', ['tennis-report.md', 'essay-07', 'notice-03']),
        ('spring', 'season', ['botanic-garden.md', 'wetland-cranes.md', 'football-pitch.md', 'essay-04']),
        ('spring', 'water', ['hydrologist-note.md', 'canal-walk.md', 'essay-02']),
        ('spring', 'coil', ['clockmaker.md', 'essay-03']),
        ('plant', 'factory', ['steel-plant.md', 'power-station.txt', 'notice-04']),
        ('plant', 'vegetation', ['botanic-garden.md', 'river-survey.md', 'essay-04']),
        ('crane', 'bird', ['wetland-cranes.md', 'river-survey.md']),
        ('crane', 'machine', ['steel-plant.md', 'harbour-log.txt', 'essay-08']),
        ('current', 'water', ['river-survey.md', 'harbour-log.txt', 'essay-06']),
        ('current', 'electric', ['steel-plant.md', 'power-station.txt']),
        ('current', 'present', ['tennis-report.md', 'courtroom-summary.md', 'savings-bank.md', 'essay-08']),
        ('pitch', 'music', ['music-lesson.md', 'clockmaker.md']),
        ('pitch', 'sport', ['football-pitch.md', 'notice-04']),
        ('pitch', 'tar', ['boatyard.txt', 'harbour-log.txt'])
), labelled AS (
    SELECT w.doc_id, w.sentence_index, w.word_index, w.word_lower, w.embedding, l.sense
    FROM words AS w
    JOIN label AS l ON l.word = w.word_lower AND list_contains(l.documents, parse_filename(w.doc_id))
), nearest AS (
    SELECT
        a.word_lower,
        a.sense,
        arg_max(b.sense, array_cosine_similarity(a.embedding, b.embedding)) AS predicted,
        avg((a.sense = b.sense)::INTEGER) AS chance
    FROM labelled AS a
    JOIN labelled AS b ON a.word_lower = b.word_lower AND a.doc_id <> b.doc_id
    GROUP BY a.word_lower, a.doc_id, a.sentence_index, a.word_index, a.sense
)
SELECT
    coalesce(word_lower, 'all words') AS word,
    count(*) AS occurrences,
    count(DISTINCT sense) AS senses,
    round(avg((predicted = sense)::INTEGER), 2) AS correct,
    round(avg(chance), 2) AS chance
FROM nearest
GROUP BY ROLLUP (word_lower)
ORDER BY grouping(word_lower), correct DESC, word;

-- 6. The words whose vectors vary most: mean distance between their occurrences. Words that occur in few documents, or
--    more than sixty times, are left out: the former have too few occurrences, the latter are function words.
WITH candidate AS (
    SELECT word_lower
    FROM words
    WHERE length(word_lower) > 3
    GROUP BY word_lower
    HAVING count(DISTINCT doc_id) >= 4 AND count(*) BETWEEN 8 AND 60
), occurrence AS (
    SELECT w.word_lower, w.doc_id, w.sentence_index, w.word_index, w.embedding
    FROM words AS w
    SEMI JOIN candidate AS c ON c.word_lower = w.word_lower
)
SELECT
    a.word_lower AS word,
    round(avg(1 - array_cosine_similarity(a.embedding, b.embedding)), 3) AS mean_distance,
    count(*) AS pairs
FROM occurrence AS a
JOIN occurrence AS b
    ON a.word_lower = b.word_lower
    AND (a.doc_id, a.sentence_index, a.word_index) < (b.doc_id, b.sentence_index, b.word_index)
GROUP BY a.word_lower
ORDER BY mean_distance DESC, word
LIMIT 25;

-- 7. The least coherent transitions of the corpus. `percentile` is the share of random pairs with a smaller margin.
SELECT
    parse_filename(doc_id) AS document,
    sentence_index,
    round(margin, 2) AS margin,
    round(percentile, 2) AS percentile,
    round(cosine::DOUBLE, 2) AS cosine,
    text,
    next_text
FROM coherence
ORDER BY coherence.margin, doc_id, sentence_index
LIMIT 8;

-- 8. Where a text changes its subject, by vectors alone: five sentences before a transition against five after it.
--    `depth` is how much more similar the sentences are on either side than across.
WITH pair AS (
    SELECT
        t.doc_id,
        t.sentence_index,
        (a.sentence_index <= t.sentence_index) = (b.sentence_index <= t.sentence_index) AS same_side,
        array_cosine_similarity(a.embedding, b.embedding) AS similarity
    FROM transitions AS t
    JOIN sentences AS a
        ON a.doc_id = t.doc_id AND a.sentence_index BETWEEN t.sentence_index - 4 AND t.sentence_index + 5
    JOIN sentences AS b
        ON b.doc_id = t.doc_id AND b.sentence_index BETWEEN a.sentence_index + 1 AND t.sentence_index + 5
    WHERE t.kind = 'adjacent'
), step AS (
    SELECT
        doc_id,
        sentence_index,
        avg(similarity) FILTER (WHERE same_side) - avg(similarity) FILTER (WHERE NOT same_side) AS depth
    FROM pair
    GROUP BY doc_id, sentence_index
    HAVING count(*) = 45 -- ten sentences make 45 pairs: steps too near either end of a text have fewer
)
SELECT parse_filename(step.doc_id) AS document, sentence_index, round(depth, 3) AS depth, c.text, c.next_text
FROM step
JOIN coherence AS c USING (doc_id, sentence_index)
ORDER BY step.depth DESC
LIMIT 8;

-- 9. Does Next Sentence Prediction separate neighbouring sentences from random pairs?
WITH scored AS (
    SELECT kind, nsp_logit_is_next::DOUBLE - nsp_logit_not_next AS margin, cosine, n_truncated
    FROM transitions
)
SELECT
    kind,
    count(*) AS pairs,
    round(quantile_cont(margin, 0.1), 2) AS margin_p10,
    round(median(margin), 2) AS margin_median,
    round(quantile_cont(margin, 0.9), 2) AS margin_p90,
    round(avg((margin > 0)::INTEGER), 2) AS called_next,
    round(avg(cosine), 2) AS mean_cosine,
    sum(n_truncated) AS tokens_cut
FROM scored
GROUP BY kind
ORDER BY kind;

-- 10. The coherence of each document: its share of transitions below the random median, and its worst one.
SELECT
    parse_filename(doc_id) AS document,
    count(*) AS steps,
    round(avg((percentile < 0.5)::INTEGER), 2) AS share_below_random_median,
    round(min(margin), 2) AS worst_margin,
    arg_min(next_text, margin) AS worst_step_leads_to
FROM coherence
GROUP BY doc_id
HAVING count(*) >= 5
ORDER BY share_below_random_median DESC, document;

-- 11. A document in two sentences: those most similar to the others of the text, without headings and fragments.
WITH central AS (
    SELECT
        a.doc_id,
        a.sentence_index,
        a.text,
        avg(array_cosine_similarity(a.embedding, b.embedding)) AS centrality
    FROM sentences AS a
    JOIN sentences AS b ON a.doc_id = b.doc_id AND a.sentence_index <> b.sentence_index
    WHERE a.text NOT LIKE '#%' AND a.n_tokens >= 8
    GROUP BY a.doc_id, a.sentence_index, a.text
    QUALIFY row_number() OVER (PARTITION BY a.doc_id ORDER BY centrality DESC, a.sentence_index) <= 2
)
SELECT parse_filename(doc_id) AS document, string_agg(text, ' [...] ' ORDER BY sentence_index) AS summary
FROM central
GROUP BY doc_id
ORDER BY document;

-- 12. The sentences of other documents nearest to one sentence.
WITH chosen AS (
    SELECT doc_id, embedding
    FROM sentences
    WHERE text LIKE '%lost a farthing%'
    LIMIT 1
)
SELECT
    round(array_cosine_similarity(s.embedding, chosen.embedding)::DOUBLE, 3) AS similarity,
    parse_filename(s.doc_id) AS document,
    s.text
FROM sentences AS s, chosen
WHERE s.doc_id <> chosen.doc_id
ORDER BY array_cosine_similarity(s.embedding, chosen.embedding) DESC
LIMIT 8;

-- 13. The longest sentences in tokens, and their number of words.
SELECT parse_filename(s.doc_id) AS document, s.sentence_index, s.n_tokens, count(w.word_index) AS words, s.text
FROM sentences AS s
LEFT JOIN words AS w ON w.doc_id = s.doc_id AND w.sentence_index = s.sentence_index
GROUP BY s.doc_id, s.sentence_index, s.n_tokens, s.text
ORDER BY s.n_tokens DESC, document, s.sentence_index
LIMIT 10;

-- 14. Words by document frequency, and their WordPiece tokens.
SELECT
    word_lower AS word,
    count(DISTINCT doc_id) AS documents,
    count(*) AS occurrences,
    array_to_string(any_value(tokens), ' ') AS pieces
FROM words
WHERE regexp_matches(word_lower, '^\p{L}{4,}$')
GROUP BY word_lower
ORDER BY documents DESC, occurrences DESC, word
LIMIT 30;

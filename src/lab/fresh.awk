# Prints the lines of a log that are not older than a moment, and a few before them. Lines without a stamp belong to the one above.
# since, since_utc: "2026-11-23 01:02:03", local and in UTC; empty for all lines. Logs that have no stamps are printed whole.

function key(line,    month, year) {
    if (line ~ /^[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9][T ][0-9][0-9]:[0-9][0-9]:[0-9][0-9]/)
        return substr(line, 1, 10) " " substr(line, 12, 8)
    if (line ~ /^\[[0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9]/) {
        utc = substr(line, 1, 30) ~ /^[^|]*Z/
        return substr(line, 2, 4) "-" substr(line, 6, 2) "-" substr(line, 8, 2) " " substr(line, 11, 8)
    }
    if (line ~ /^[A-Z][a-z][a-z] [ 0-9][0-9] [0-9][0-9]:[0-9][0-9]:[0-9][0-9]/) {
        month = index("JanFebMarAprMayJunJulAugSepOctNovDec", substr(line, 1, 3))
        if (month % 3 != 1) return ""
        month = (month + 2) / 3
        # No year is written: it is the one that is nearest.
        year = substr(since, 1, 4) + 0
        if (month > substr(since, 6, 2) + 6) year--
        if (month < substr(since, 6, 2) - 6) year++
        return sprintf("%04d-%02d-%02d %s", year, month, substr(line, 5, 2) + 0, substr(line, 8, 8))
    }
    return ""
}

function older(most,    i) {
    for (i = (count > most ? count - most : 0); i < count; i++) print kept[i % 50]
}

{
    if (fresh) { print; next }
    utc = 0
    stamp = key($0)
    if (stamp != "") stamped = 1
    if (stamp != "" && stamp >= (utc ? since_utc : since)) {
        if (count > 0) { older(20); print "----- the testcase began about here -----" }
        print
        fresh = 1
    } else if (!stamped && count == 50) {
        older(50)
        print
        fresh = 1
    } else {
        kept[count++ % 50] = $0
    }
}

END { if (!fresh) older(stamped ? 20 : 50) }

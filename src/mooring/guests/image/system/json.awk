# Writes JSON as lines of PATH TAB VALUE: {"a": [{"b": 1}]} is a.0.b TAB 1.  For the config drive, which is ours: what is no JSON gives
# nothing to rely on.  Text is kept as it is but for \" \\ \/; what else can be escaped (\n, \u00e9) stands for a space.

{ text = text $0 " " }

END {
    position = 1
    value("")
}

function skip() {
    while (substr(text, position, 1) ~ /[ \t\r]/) position++
}

function string(   result, letter) {
    for (position++; position <= length(text); position++) {
        letter = substr(text, position, 1)
        if (letter == "\"") break
        if (letter == "\\") {
            letter = substr(text, ++position, 1)
            if (letter == "u") position += 4
            if (letter !~ /["\\\/]/) letter = " "
        }
        result = result letter
    }
    position++
    return result
}

function value(path,   start, number, key) {
    skip()
    start = substr(text, position, 1)
    if (start == "{" || start == "[") {
        position++
        for (number = 0; ; number++) {
            skip()
            if (position > length(text) || substr(text, position, 1) ~ /[]}]/) break
            if (substr(text, position, 1) == ",") { position++; skip() }
            key = number
            if (start == "{") { key = string(); skip(); position++ }
            value(path (path == "" ? "" : ".") key)
        }
        position++
    } else if (start == "\"") {
        print path "\t" string()
    } else {
        number = position
        while (position <= length(text) && substr(text, position, 1) !~ /[],} \t\r]/) position++
        print path "\t" substr(text, number, position - number)
    }
}

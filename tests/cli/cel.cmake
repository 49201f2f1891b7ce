# SPDX-License-Identifier: Apache-2.0
# cel.cmake - `kroc cel` at the command line; -DKROC=program -DWORK=scratch -DSHARED=cases beside the project.
cmake_minimum_required(VERSION 3.22)

# expect(CODE STDOUT STDERR ARGS...) runs kroc cel ARGS; both are regular expressions.
function(expect code out_regex err_regex)
    execute_process(COMMAND ${KROC} cel ${ARGN} RESULT_VARIABLE rc OUTPUT_VARIABLE out ERROR_VARIABLE err TIMEOUT 60)
    if(NOT rc STREQUAL code OR NOT out MATCHES "${out_regex}" OR NOT err MATCHES "${err_regex}")
        message(FATAL_ERROR "kroc cel ${ARGN}: code ${rc}, expected ${code}\n${out_regex}\n${err_regex}\n--\n${out}--\n${err}")
    endif()
endfunction()

file(MAKE_DIRECTORY ${WORK})
file(WRITE ${WORK}/vars.yaml "a: 1\nlist: [3, 1, 2]\nsettings:\n  data: {\"a.b\": x}\n")
file(WRITE ${WORK}/vars.json "{\"a\": 18446744073709551615, \"list\": []}")
file(WRITE ${WORK}/list.yaml "- 1\n")
file(WRITE ${WORK}/broken.yaml "a: [1\n")
set(vars --vars ${WORK}/vars.yaml)

expect(0 "^2\n$" "^$" "a + 1" ${vars})
expect(0 "^\\[6,2,4\\]\n$" "^$" "list.map(x, x * 2)" ${vars})
expect(0 "^{\"k\":\"x\"}\n$" "^$" ${vars} "{'k': settings.data['a.b']}")
expect(0 "^\\[\\]\n$" "^$" --vars=${WORK}/vars.json list)
expect(0 "^1.5\n$" "^$" "1.5")

# A failure shows its place.
expect(1 "^$" "^ERROR: <input>:1:5: index out of bounds: 7\n \\| list\\[7\\] . 1\n \\| \\.\\.\\.\\.\\^" "list[7] + 1" ${vars})
expect(1 "^$" "^ERROR: <input>:1:1: undeclared reference to 'nope' \\(in container ''\\)\n \\| nope . 1\n \\| \\^\n$" "nope + 1")
expect(1 "^$" "^ERROR: <input>:1:5: Syntax error: " "1 + ")
expect(1 "^$" "bytes value cannot be used directly" "b'a'")
expect(1 "^$" "the result is omit\\(\\), which has no value" "omit()")
expect(1 "^$" "evaluation memory limit exceeded" "lists.range(1000000).map(a, lists.range(1000000)).size()")

# Type, reads, cost.
expect(0 "^list\\(string\\)\n$" "^$" --check "[1].map(x, string(x))")
expect(0 "^db.status.host\nsettings.data\\[\"a.b\"\\]\n$" "^$" --reads "db.status.host + settings.data['a.b']")
expect(0 "^estimate: [0-9]+\\.\\.unlimited\nrun: [1-9][0-9]*\n$" "^$" --cost "list.all(x, x > 0)" ${vars})
expect(0 "^estimate: 0\\.\\.[0-9]+\nrun: 1\n$" "^$" --cost "1 + 1")

# Environments.
expect(1 "^$" "undeclared reference to 'math'" "math.least(2, 1)")
expect(0 "^1\n$" "^$" --env ext "math.least(2, 1)")
expect(1 "^$" "undeclared reference to 'quantity'" --env ext "quantity('1')")
expect(0 "^true\n$" "^$" --env k8s "format.uuid().validate('x').hasValue()")
expect(1 "^$" "undeclared reference to 'trim'" --env spec "'a'.trim()")

# The command line.
expect(2 "^$" "^kroc: usage: kroc cel EXPR")
expect(2 "^$" "^kroc: usage: kroc cel EXPR" 1 2)
expect(2 "^$" "^kroc: option --env cannot be \"kr0\": one of spec, ext, k8s, kro\n$" --env kr0 1)
expect(2 "^$" "^kroc: unknown option --var; did you mean --vars\\?\n$" --var x 1)
expect(2 "^$" "^kroc: --cases goes with --env only\n$" --cases --check x)
expect(0 "^usage: kroc cel EXPR" "^$" --help)
expect(1 "^$" "/nonexistent" --vars /nonexistent 1)
expect(1 "^$" "list.yaml: expected one map from variable to value" --vars ${WORK}/list.yaml 1)
expect(1 "^$" "broken.yaml: " --vars ${WORK}/broken.yaml 1)

# What begins with - or comes from a file; maps that look like JSON; nothing of what fails.
expect(2 "^$" "^kroc: unknown option -1 \\+ 2; -- goes before an operand that begins with -\n$" "-1 + 2")
expect(0 "^1\n$" "^$" -- "-1 + 2")
file(WRITE ${WORK}/flow.yaml "{a: 1, b: [x]}\n")
expect(0 "^\"x\"\n$" "^$" --vars ${WORK}/flow.yaml "b[0]")
string(REPEAT "[" 200 open)
string(REPEAT "]" 200 shut)
expect(1 "^$" "nested over 100 levels" "${open}${shut}")

# Conformance cases.
file(WRITE ${WORK}/cases.jsonl [[{"file":"f","section":"s","name":"n1","expr":"1+1","expect":{"value":{"int":"2"}}}
{"file":"f","section":"s","name":"n2","expr":"1+1","expect":{"value":{"int":"3"}}}
{"file":"f","section":"s","name":"n3","expr":"math.abs(-1)","expect":{"value":{"int":"1"}},"kro":{"check_error":["1:1: undeclared reference to 'math' (in container '')","1:9: undeclared reference to 'abs' (in container '')"]}}
]])
expect(1 "^FAILED f/s/n2\n    1\\+1\n    want {\"value\":{\"int\":\"3\"}}\n    gives int\\(2\\)\n2 passed, 1 failed, 0 skipped\n$" "^$" --cases ${WORK}/cases.jsonl)
expect(1 "2 passed, 1 failed, 0 skipped\n$" "^$" --env kro --cases ${WORK}/cases.jsonl)
expect(1 "1 passed, 1 failed, 1 skipped\n$" "^$" --env spec --cases ${WORK}/cases.jsonl)
expect(1 "^$" "/nonexistent" --cases /nonexistent)

if(NOT EXISTS ${SHARED}/conformance/cel-kro.jsonl)
    message(STATUS "no conformance cases beside the project: left out")
    return()
endif()
file(GLOB cases ${SHARED}/conformance/cel-*.jsonl)
expect(0 "^5462 passed, 0 failed, 0 skipped\n$" "^$" --cases ${cases})
expect(0 "^5462 passed, 0 failed, 0 skipped\n$" "^$" --env kro --cases ${cases})

# SPDX-License-Identifier: Apache-2.0
# commands.cmake - what the program says to its command line; -DKROC=path of the program.

# expect(CODE STREAM REGEX ARGS...) runs kroc ARGS; STREAM is OUT or ERR.
function(expect code stream regex)
    execute_process(COMMAND ${KROC} ${ARGN} RESULT_VARIABLE rc OUTPUT_VARIABLE OUT ERROR_VARIABLE ERR TIMEOUT 20)
    if(NOT rc STREQUAL code OR NOT ${stream} MATCHES "${regex}")
        message(FATAL_ERROR "kroc ${ARGN}: code ${rc}, expected ${code}; ${stream}, expected to match ${regex}:\n${OUT}${ERR}")
    endif()
    set(OUT "${OUT}" PARENT_SCOPE)
endfunction()

unset(ENV{KUBECONFIG})
unset(ENV{KUBERNETES_SERVICE_HOST})
set(ENV{HOME} /nonexistent)

expect(0 OUT "^kroc [v0-9][^ ]* \\(commit [^ ]+, [^ ]+\\)\n$" version)
expect(0 OUT "^{" version -o json)
foreach(key version commit date)
    string(JSON value GET "${OUT}" ${key})
endforeach()
expect(2 ERR "^kroc: usage: kroc version" version --nonsense)

expect(0 OUT "Usage: kroc \\[command\\]" help)
expect(0 OUT "--metrics-bind-address" help controller)
expect(0 OUT "Usage: kroc controller" controller --help)
expect(0 OUT "Usage: kroc controller" -h)
expect(0 OUT "^kroc [v0-9]" --version)
expect(0 OUT "^# Flags of" docs flags)
expect(0 OUT "^# Metrics" docs metrics)
expect(2 ERR "usage: kroc docs" docs)

# A first argument that begins with "-", or none, means controller.
expect(2 ERR "^kroc: unknown flag --kubeconfg; did you mean --kubeconfig\\?\n$" --kubeconfg=x)
expect(2 ERR "^kroc: unknown flag --kubeconfg; did you mean --kubeconfig\\?\n$" controller --kubeconfg x)
expect(2 ERR "^kroc: unknown command \"contoller\"; kroc help lists all\n$" contoller)
expect(1 ERR "/nonexistent/config" --kubeconfig /nonexistent/config --metrics-bind-address 0 --health-probe-bind-address 0)
expect(1 ERR "kubeconfig")

expect(2 OUT "^FAIL  K01  [^\n]*/nonexistent/config[^\n]* -> [^\n]*\n$" doctor --kubeconfig=/nonexistent/config)
expect(2 OUT "^FAIL  K01  no cluster is configured[^\n]* -> name a cluster: [^\n]*make deploy-kind[^\n]*\n$" doctor)
expect(2 OUT "^{\"verdict\":\"FAIL\"" doctor --kubeconfig /nonexistent/config -o json)
expect(2 ERR "--nonsense" doctor --nonsense)
expect(2 ERR "there is no check \"K99\"" doctor --only K01,K99)
expect(0 OUT "kroc doctor" doctor --help)
expect(0 OUT "name: graphrevisions.internal.kro.run" crds)
expect(2 ERR "usage: kroc rbac" rbac)

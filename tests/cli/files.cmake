# SPDX-License-Identifier: Apache-2.0
# files.cmake - `kroc generate` and `kroc fmt` at the command line, with files as people give them;
# -DKROC=program -DWORK=scratch.
cmake_minimum_required(VERSION 3.22)

# expect(CODE STDOUT STDERR ARGS...) runs kroc ARGS in WORK; both are regular expressions.
function(expect code out_regex err_regex)
    execute_process(COMMAND ${KROC} ${ARGN} WORKING_DIRECTORY ${WORK} RESULT_VARIABLE rc OUTPUT_VARIABLE out
        ERROR_VARIABLE err TIMEOUT 60)
    if(NOT rc STREQUAL code OR NOT out MATCHES "${out_regex}" OR NOT err MATCHES "${err_regex}")
        message(FATAL_ERROR "kroc ${ARGN}: code ${rc}, expected ${code}\n${out_regex}\n${err_regex}\n--\n${out}--\n${err}")
    endif()
endfunction()

file(REMOVE_RECURSE ${WORK})
file(MAKE_DIRECTORY ${WORK}/folder)
set(head "apiVersion: kro.run/v1alpha1\nkind: ResourceGraphDefinition\n")
set(app "${head}metadata: {name: app}\nspec:\n  schema: {apiVersion: v1, kind: App, spec: {name: string}}\n  resources:\n")
set(page "  - {id: page, template: {apiVersion: v1, kind: ConfigMap, metadata: {name: '\${schema.spec.name}'}}}\n")
file(WRITE ${WORK}/good.yaml "${app}${page}")
file(WRITE ${WORK}/folder/good.yaml "${app}${page}")
string(REPLACE "spec.name" "spec.nmae" wrong "${page}")
file(WRITE ${WORK}/wrong.yaml "${app}${wrong}${wrong}")
file(WRITE ${WORK}/list.yaml "apiVersion: v1\nkind: List\nitems:\n- apiVersion: kro.run/v1alpha1\n  kind: ResourceGraphDefinition\n"
    "  metadata: {name: listed}\n  spec: {schema: {apiVersion: v1, kind: Listed, spec: {name: string}}, resources: []}\n")
file(WRITE ${WORK}/secret.yaml "apiVersion: v1\nkind: Secret\n")
file(WRITE ${WORK}/cyclic.yaml "a: &a [*a]\n")

# What is there is read: files with and without -f, folders, lists.
expect(0 "name: apps.kro.run\n" "^$" generate crd -f good.yaml)
expect(0 "name: apps.kro.run\n" "^$" generate crd good.yaml)
expect(0 "name: apps.kro.run\n" "^$" generate crd folder)
expect(0 "^apiVersion: kro.run/v1\nkind: Listed\n" "^$" generate instance list.yaml)
expect(0 "page" "^$" generate diagram -o dot good.yaml)
expect(0 "usage: kroc generate crd.*instance.*diagram" "^$" generate --help)

# An error is one line: file, definition, path, reason, what would be right; and how to see the others.
expect(1 "^$" "^kroc: wrong.yaml: app: spec.resources\\[1\\].id: [^\n]*; kroc validate tells [1-9] more\n$" generate crd wrong.yaml)
string(REPLACE "id: page" "id: other" other "${wrong}")
file(WRITE ${WORK}/wrong.yaml "${app}${wrong}${other}")
expect(1 "^$" "^kroc: wrong.yaml: app: spec.resources\\[0\\].template.metadata.name: undefined field 'nmae'; did you mean \"name\"\\?; kroc validate tells 1 more\n$"
    generate crd wrong.yaml)
expect(1 "^$" "^kroc: cyclic.yaml: YAML line 1, column 8: anchor contains itself\n$" generate crd cyclic.yaml)
expect(1 "^$" "^kroc: no ResourceGraphDefinition in secret.yaml\n$" generate crd secret.yaml)
expect(1 "^$" "^kroc: no file or folder absent\n$" generate crd absent)
expect(2 "^$" "^kroc: ResourceGraphDefinition file is required: -f FILE\n$" generate crd)
expect(2 "^$" "^kroc: usage: kroc generate" generate picture)

# A place that takes nothing is said; a reader that has enough is not.
if(EXISTS /dev/full)
    foreach(command "generate crd" "validate" "fmt")
        execute_process(COMMAND sh -c "\"$0\" ${command} good.yaml >/dev/full" ${KROC} WORKING_DIRECTORY ${WORK}
            RESULT_VARIABLE rc ERROR_VARIABLE err)
        if(NOT rc STREQUAL 1 OR NOT err MATCHES "^kroc: stdout cannot be written: No space left on device\n$")
            message(FATAL_ERROR "kroc ${command} to a full device: code ${rc}\n${err}")
        endif()
    endforeach()
endif()

# fmt -w writes through a link, and keeps the file's mode.
file(WRITE ${WORK}/target.yaml "a:    1\n")
file(CHMOD ${WORK}/target.yaml PERMISSIONS OWNER_READ OWNER_WRITE)
file(CREATE_LINK target.yaml ${WORK}/link.yaml SYMBOLIC)
expect(0 "^$" "^$" fmt -w link.yaml)
file(READ ${WORK}/target.yaml text)
if(NOT IS_SYMLINK ${WORK}/link.yaml OR NOT text STREQUAL "a: 1\n")
    message(FATAL_ERROR "fmt -w through a link: ${text}")
endif()
execute_process(COMMAND printf "\\377\\376a\\0:\\0 \\0001\\0\\n\\0" OUTPUT_FILE ${WORK}/wide.yaml)
expect(1 "^$" "^kroc: wide.yaml: it is UTF-16, only UTF-8 is laid out\n$" fmt wide.yaml)

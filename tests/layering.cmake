# SPDX-License-Identifier: Apache-2.0
# layering.cmake - refuses an #include that points upwards. Run: cmake -DROOT=<source> -P layering.cmake
#
# Includes are written from the root, so a wrong-way include shows in the line itself. Each folder has
# a list of what it may include: a folder stands for all files directly in it, a file for itself. Any
# folder may include its own files; internal.h belongs to its own folder alone. cli/ may include all.
cmake_minimum_required(VERSION 3.22)

set(allow_cel/base)
set(allow_cel cel/base)
set(allow_kube cel/base cel/schema.h)
set(allow_graph cel cel/base)
set(allow_kube/sandbox kube cel cel/base cel/schema.h)
set(allow_reactor kube/sandbox kube graph cel cel/base)
set(folders cel/base cel kube kube/sandbox graph reactor)

set(wrong "")
set(seen 0)

# Is the include `target` legal in a file of `folder`?
function(check folder file target)
    cmake_path(GET target PARENT_PATH to)
    cmake_path(GET target FILENAME name)
    if(name STREQUAL "internal.h" AND NOT to STREQUAL folder)
        set(wrong "${wrong}\n  ${file} includes ${target}: internal.h is for its own folder" PARENT_SCOPE)
        return()
    endif()
    if(folder STREQUAL "cli" OR to STREQUAL folder)
        return()
    endif()
    if(NOT (to IN_LIST allow_${folder} OR target IN_LIST allow_${folder}))
        set(wrong "${wrong}\n  ${file} includes ${target}: ${folder} may not use ${to}" PARENT_SCOPE)
    endif()
endfunction()

foreach(folder ${folders} cli)
    file(GLOB files RELATIVE ${ROOT} ${ROOT}/${folder}/*.c ${ROOT}/${folder}/*.h ${ROOT}/${folder}/*.cc
        ${ROOT}/${folder}/*.cpp ${ROOT}/${folder}/*.def)
    foreach(file ${files})
        file(STRINGS ${ROOT}/${file} lines REGEX "^[ \t]*#[ \t]*include[ \t]*\"")
        foreach(line IN LISTS lines)
            string(REGEX REPLACE "^[^\"]*\"([^\"]*)\".*" "\\1" target "${line}")
            math(EXPR seen "${seen} + 1")
            if(NOT target MATCHES "/")
                string(APPEND wrong "\n  ${file} includes ${target}: write includes from the root")
            else()
                check(${folder} ${file} ${target})
            endif()
        endforeach()
    endforeach()
endforeach()

if(wrong)
    message(FATAL_ERROR "includes that point the wrong way:${wrong}")
endif()
if(seen EQUAL 0)
    message(FATAL_ERROR "no include seen under ${ROOT}: is it the source folder?")
endif()
message(STATUS "${seen} includes point the right way")

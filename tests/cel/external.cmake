# SPDX-License-Identifier: Apache-2.0
# external.cmake - an external C program with the installed libkrcel and nothing else: installs the
# component into a prefix of its own, builds examples/cel with what pkg-config says, runs it; as C++, too.
#   -DBUILD=build folder -DSOURCE=source folder -DWORK=scratch -DCC=compiler -DCFLAGS=flags -DCXX=compiler
cmake_minimum_required(VERSION 3.22)

function(run regex) # runs ARGN; the output must match
    execute_process(COMMAND ${ARGN} RESULT_VARIABLE rc OUTPUT_VARIABLE out ERROR_VARIABLE out)
    if(NOT rc EQUAL 0 OR NOT out MATCHES "${regex}")
        message(FATAL_ERROR "${ARGN}: code ${rc}, expected output to match ${regex}:\n${out}")
    endif()
    set(out "${out}" PARENT_SCOPE)
endfunction()

file(REMOVE_RECURSE ${WORK})
run("" ${CMAKE_COMMAND} --install ${BUILD} --prefix ${WORK}/prefix --component krcel)
file(GLOB_RECURSE pc ${WORK}/prefix/krcel.pc)
cmake_path(GET pc PARENT_PATH pc_folder)
set(ENV{PKG_CONFIG_PATH} ${pc_folder})
run("" pkg-config --cflags --libs krcel)
if(out MATCHES "libuv|curl|microhttpd|-luv|-I${SOURCE}[ \n]")
    message(FATAL_ERROR "krcel wants more than it may: ${out}")
endif()
string(STRIP "${out}" flags)

# A program may have names of its own: the library's global names begin with cel_ or kr_ (CEL_T_ for
# types); those of C++ are weak or mangled, those of sanitizers theirs.
function(foreign_names archive result)
    execute_process(COMMAND nm -g --defined-only --format=posix ${archive} OUTPUT_VARIABLE names COMMAND_ERROR_IS_FATAL ANY)
    string(REGEX MATCHALL "\n[A-Za-z_][^ \n]* [A-Z] " names "${names}")
    list(FILTER names EXCLUDE REGEX "^\n(cel_|kr_|CEL_T_|_Z|__odr_asan|DW\\.ref)")
    set(${result} "${names}" PARENT_SCOPE)
endfunction()

separate_arguments(flags UNIX_COMMAND "${flags}")
separate_arguments(cflags UNIX_COMMAND "${CFLAGS}")
file(GLOB_RECURSE archive ${WORK}/prefix/libkrcel.a)
foreign_names(${archive} names)
if(names)
    message(FATAL_ERROR "global names without the prefix cel_ or kr_: ${names}")
endif()

# The same with a name of another kind in it is seen.
file(COPY_FILE ${archive} ${WORK}/foreign.a)
file(WRITE ${WORK}/foreign.c "int parse(void);\nint parse(void)\n{\n    return 0;\n}\n")
run("" ${CC} ${cflags} -c ${WORK}/foreign.c -o ${WORK}/foreign.o)
run("" ar r ${WORK}/foreign.a ${WORK}/foreign.o)
foreign_names(${WORK}/foreign.a names)
if(NOT names MATCHES "^\nparse T $")
    message(FATAL_ERROR "a global name \"parse\" was not seen: ${names}")
endif()
run("" ${CC} ${cflags} ${SOURCE}/examples/cel/main.c -o ${WORK}/greet ${flags})

run("^\"Hello, Ada\"\n$" ${WORK}/greet [["Hello, " + user.name + (user.age >= 18 ? "" : " junior")]] [[{"name":"Ada","age":36}]])
run("^{\"n\":3}\n$" ${WORK}/greet [[{"n": user.list.map(x, x * 2).filter(x, x > 2).size()}]] [[{"list":[1,2,3,4]}]])
# The headers are those of a program in C++, too.
file(GLOB_RECURSE headers RELATIVE ${WORK}/prefix/include/krcel ${WORK}/prefix/include/krcel/*.h)
set(all "")
foreach(header ${headers})
    string(APPEND all "#include \"${header}\"\n")
endforeach()
file(WRITE ${WORK}/all.cc "${all}")
foreach(standard 11 17 20)
    run("^$" ${CXX} -std=c++${standard} -Wall -Werror ${flags} -fsyntax-only ${WORK}/all.cc)
endforeach()
run("" ${CXX} ${cflags} -std=c++17 -x c++ ${SOURCE}/examples/cel/main.c -x none -o ${WORK}/greet++ ${flags})
run("^\"Hello, Ada\"\n$" ${WORK}/greet++ [["Hello, " + user.name]] [[{"name":"Ada"}]])

execute_process(COMMAND ${WORK}/greet "user.name +" "{}" RESULT_VARIABLE rc ERROR_VARIABLE err)
if(NOT rc EQUAL 1 OR NOT err MATCHES "^ERROR: <input>:1:12: Syntax error")
    message(FATAL_ERROR "code ${rc}: ${err}")
endif()

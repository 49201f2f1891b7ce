# SPDX-License-Identifier: Apache-2.0
# embed.cmake - writes text files as C strings: -DFILES=name=path;... -DOUT=file.c -DHEADER=include
set(text "/* made by embed.cmake */\n#include \"${HEADER}\"\n")
foreach(pair ${FILES})
    string(FIND ${pair} "=" at)
    string(SUBSTRING ${pair} 0 ${at} name)
    math(EXPR at "${at} + 1")
    string(SUBSTRING ${pair} ${at} -1 path)
    file(READ ${path} hex HEX)
    string(REGEX REPLACE "(..)" "0x\\1," bytes "${hex}")
    string(APPEND text "const char ${name}[] = {${bytes}0};\n")
endforeach()
file(WRITE ${OUT} "${text}")

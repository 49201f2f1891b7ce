# SPDX-License-Identifier: Apache-2.0
# stamp.cmake - writes version.c into the build folder; run at each build, writes only when something changed.
#   -DROOT=source -DOUT=file -DDEFAULT=0.1.0
# Version: the tag vX.Y.Z the tree is at, else X.Y.Z-gCOMMIT (a valid label value); without git the default alone. The date is
# the commit's, or SOURCE_DATE_EPOCH's, so equal sources give equal programs.
function(git out)
    execute_process(COMMAND git -C ${ROOT} ${ARGN} RESULT_VARIABLE rc OUTPUT_VARIABLE text
        ERROR_QUIET OUTPUT_STRIP_TRAILING_WHITESPACE)
    if(NOT rc EQUAL 0)
        set(text "")
    endif()
    set(${out} "${text}" PARENT_SCOPE)
endfunction()

set(VERSION ${DEFAULT})
set(COMMIT unknown)
set(DATE unknown)
set(epoch "$ENV{SOURCE_DATE_EPOCH}")

# Only a git tree of our own: sources unpacked inside of another project's tree have no commit.
git(top rev-parse --show-toplevel)
file(REAL_PATH ${ROOT} root)
if(top)
    file(REAL_PATH ${top} top)
endif()
git(head rev-parse HEAD)
if(head AND top STREQUAL root)
    git(tag describe --tags --exact-match --match "v[0-9]*")
    git(dirty status --porcelain --untracked-files=no)
    string(SUBSTRING ${head} 0 10 short)
    set(COMMIT ${head})
    if(tag)
        set(VERSION ${tag})
    else()
        set(VERSION ${DEFAULT}-g${short})
    endif()
    if(dirty)
        set(COMMIT ${COMMIT}-dirty)
        set(VERSION ${VERSION}-dirty)
    endif()
    if(NOT epoch)
        git(epoch log -1 --format=%ct)
    endif()
endif()
if(epoch)
    set(ENV{SOURCE_DATE_EPOCH} ${epoch})
    string(TIMESTAMP DATE "%Y-%m-%dT%H:%M:%SZ" UTC)
endif()
configure_file(${ROOT}/reactor/version.c.in ${OUT} @ONLY)

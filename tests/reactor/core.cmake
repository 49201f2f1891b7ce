# SPDX-License-Identifier: Apache-2.0
# The whole controller on a cluster in memory: world is the fixture, these tests stand on it.
add_library(world STATIC ../lib/world.c)
target_link_libraries(world PUBLIC reactor fakelib testlib)
target_compile_definitions(world PRIVATE KROC_SOURCE="${PROJECT_SOURCE_DIR}")
foreach(name reactor collection fault property budget roll why pages lead manners shards isolation)
    kroc_test(${name} world)
    set_tests_properties(reactor/${name} PROPERTIES TIMEOUT 900) # seconds: 20 where nothing else runs
endforeach()

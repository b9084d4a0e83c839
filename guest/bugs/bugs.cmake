# Builds kernel-lunaix-NAME.elf for each NAME.patch here: the sound sources with one mistake patched into a copy. Objects
# of unchanged sources are the sound kernel's, unless the patch changes a header.
find_program(GUEST_PATCH NAMES patch REQUIRED)

# Copies the kernel's sources and makes the mistake in the copy; the stamp is as old as that.
function(guest_bug_sources name copy stamp)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/kernel/*.[chS]
       ${CMAKE_CURRENT_SOURCE_DIR}/personality/lunaix/*.[chS])
  set(patch ${CMAKE_CURRENT_SOURCE_DIR}/bugs/${name}.patch)
  add_custom_command(
    OUTPUT ${stamp}
    COMMAND ${CMAKE_COMMAND} -E rm -rf ${copy}
    COMMAND ${CMAKE_COMMAND} -E make_directory ${copy}/guest
    COMMAND ${CMAKE_COMMAND} -E copy_directory ${CMAKE_CURRENT_SOURCE_DIR}/kernel ${copy}/guest/kernel
    COMMAND ${CMAKE_COMMAND} -E copy_directory ${CMAKE_CURRENT_SOURCE_DIR}/abi ${copy}/guest/abi
    COMMAND ${CMAKE_COMMAND} -E copy_directory ${CMAKE_CURRENT_SOURCE_DIR}/personality/lunaix
            ${copy}/guest/personality/lunaix
    COMMAND ${GUEST_PATCH} --strip=1 --batch --quiet --no-backup-if-mismatch --directory=${copy} --input=${patch}
    COMMAND ${CMAKE_COMMAND} -E touch ${stamp}
    DEPENDS ${patch} ${sources}
    COMMENT "Making the mistake ${name}"
    VERBATIM)
endfunction()

# Compiles one source of the copy; the object's path is appended to the list named by `list_name`.
function(guest_bug_object copy stamp relative list_name)
  set(object ${copy}/objects/${relative}.o)
  cmake_path(GET object PARENT_PATH folder)
  set(standard -std=gnu11)
  if(relative MATCHES "\\.S$")
    set(standard)
  endif()
  add_custom_command(
    OUTPUT ${object}
    COMMAND ${CMAKE_COMMAND} -E make_directory ${folder}
    COMMAND ${GUEST_CC} ${standard} ${guest_kernel_flags} -Wno-unused-parameter -Wno-unused-function
            -ffile-prefix-map=${copy}=. -I${copy}
            -c ${copy}/guest/${relative} -o ${object}
    DEPENDS ${stamp}
    COMMENT "Compiling a mistake into guest/${relative}"
    VERBATIM)
  set(${list_name} ${${list_name}} ${object} PARENT_SCOPE)
endfunction()

# Makes one broken kernel; the image is appended to guest_bug_images.
function(guest_bug_kernel name)
  set(copy ${guest_output_dir}/bugs/${name})
  set(stamp ${copy}.stamp)
  guest_bug_sources(${name} ${copy} ${stamp})
  file(STRINGS ${CMAKE_CURRENT_SOURCE_DIR}/bugs/${name}.patch changed REGEX "^\\+\\+\\+ b/guest/")
  list(TRANSFORM changed REPLACE "^\\+\\+\\+ b/guest/" "")
  set(objects)
  foreach(object ${guest_mechanism_objects} ${guest_personality_objects_lunaix})
    cmake_path(RELATIVE_PATH object BASE_DIRECTORY ${guest_output_dir}/objects OUTPUT_VARIABLE relative)
    string(REGEX REPLACE "\\.o$" "" relative ${relative})
    if(relative IN_LIST changed OR changed MATCHES "\\.h")
      guest_bug_object(${copy} ${stamp} ${relative} objects)
    else()
      list(APPEND objects ${object})
    endif()
  endforeach()
  guest_kernel_image(lunaix-${name} ${objects})
  set(guest_bug_images ${guest_bug_images} ${guest_output_dir}/kernel-lunaix-${name}.elf PARENT_SCOPE)
endfunction()

file(GLOB guest_bug_patches CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/bugs/*.patch)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${guest_bug_patches})
set(guest_bug_images)
foreach(patch ${guest_bug_patches})
  cmake_path(GET patch STEM name)
  guest_bug_kernel(${name})
endforeach()
add_custom_target(guest_seeded_bugs ALL DEPENDS ${guest_bug_images})

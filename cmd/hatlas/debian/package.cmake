# What `cpack` makes of an installation: a Debian package.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME hatlas)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_CONTACT "hatlas maintainers <maintainers@hatlas.example>")
set(CPACK_PACKAGE_DIRECTORY ${CMAKE_BINARY_DIR})
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE
    GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
# What only a package has is added to the installed files: no `cmake --install` touches /etc.
set(CPACK_PRE_BUILD_SCRIPTS ${CMAKE_CURRENT_LIST_DIR}/stage.cmake)
set(CPACK_HATLAS_SOURCE ${PROJECT_SOURCE_DIR})

set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "adduser")
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "haproxy (>= 2.4)")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "keeps a local HAProxy in step with a service registry")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION
"hatlas runs beside HAProxy on every host of a cluster. It watches the
services and hosts of a registry in ZooKeeper, and keeps HAProxy's config,
servers and maps in step with it: by the Runtime API where that is enough,
else by a reload that drops no request.

A config is put in place only after HAProxy accepted it, and whatever
fails, the last good one keeps serving.")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA
    ${CMAKE_CURRENT_LIST_DIR}/conffiles ${CMAKE_CURRENT_LIST_DIR}/postinst
    ${CMAKE_CURRENT_LIST_DIR}/prerm ${CMAKE_CURRENT_LIST_DIR}/postrm)
include(CPack)

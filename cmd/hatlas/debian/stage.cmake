# Adds to the files of a package what a plain installation has not: the conffile, the
# documents Debian asks for, compressed pages; the unit names the package's own binary.
set(root ${CPACK_TEMPORARY_DIRECTORY})
set(source ${CPACK_HATLAS_SOURCE})
set(doc ${root}/usr/share/doc/hatlas)
set(PROJECT_VERSION ${CPACK_PACKAGE_VERSION})
set(PACKAGE_VERSION ${CPACK_PACKAGE_VERSION}-${CPACK_DEBIAN_PACKAGE_RELEASE})
set(PACKAGE_CONTACT ${CPACK_PACKAGE_CONTACT})
string(TIMESTAMP PACKAGE_DATE "%a, %d %b %Y %H:%M:%S +0000" UTC)

function(compress)
  execute_process(COMMAND gzip -9nf ${ARGN} COMMAND_ERROR_IS_FATAL ANY)
endfunction()

file(REMOVE_RECURSE ${root}/usr/lib)
set(CMAKE_INSTALL_FULL_BINDIR /usr/bin)
configure_file(${source}/cmd/hatlas/hatlas.service.in
               ${root}/lib/systemd/system/hatlas.service @ONLY)
# Not file(INSTALL), which obeys DESTDIR.
file(COPY ${source}/cmd/hatlas/debian/hatlas.yaml DESTINATION ${root}/etc/hatlas)
file(COPY ${source}/cmd/hatlas/debian/copyright ${source}/README.md DESTINATION ${doc})
file(COPY ${source}/examples/hatlas.yaml ${source}/examples/cluster.yaml
          ${source}/examples/deploy DESTINATION ${doc}/examples)
configure_file(${source}/cmd/hatlas/debian/lintian-overrides
               ${root}/usr/share/lintian/overrides/hatlas COPYONLY)
configure_file(${source}/cmd/hatlas/debian/changelog.in ${doc}/changelog.Debian @ONLY)

file(GLOB pages ${root}/usr/share/man/man*/*.[1-9])
compress(${doc}/changelog.Debian ${pages})

/* The ZooKeeper client's header, which defines a struct of the same name as
 * base/buffer.h. */
#ifndef HATLAS_SOURCE_ZK_CLIENT_H
#define HATLAS_SOURCE_ZK_CLIENT_H

#define buffer zookeeper_buffer
#include <zookeeper/zookeeper.h>
#undef buffer

#endif

/* lua: what the scripts that run inside Redis share. A script is atomic, so that a decision and what follows from it cannot
 * be torn apart by another logic. Redis keeps the compiled form of what EVAL brought, so that the text costs little.
 *
 * Keys (docs/logic-protocol.md, "What stands in Redis"):
 *   comet:session:<key>    "<session id> <mid> <epoch> <server>"; epoch 0: gone, kept a moment against late renewals
 *   comet:mid:<mid>        set of keys
 *   comet:server:<server>  hash, a comet's lease: epoch, updated (ms), sent, registering, region, addrs, weight, ...
 *   comet:servers          set of the servers that have such a hash
 *   comet:ids              the last id given; ids are microseconds, so they grow even after Redis lost its data
 *   comet:generation       when this set of data began (ms); a new one means that Redis lost its data
 * SPDX-License-Identifier: MIT */
#ifndef LOGIC_LUA_H
#define LOGIC_LUA_H

#define LUA_NOW                                                                                                        \
	"local t = redis.call('TIME') "                                                                                \
	"local now = t[1] * 1000 + math.floor(t[2] / 1000) "

/* Below 2^53 until the year 2255, so that doubles, which Lua and JavaScript have, hold them. */
#define LUA_NEW_ID                                                                                                     \
	"local function new_id() "                                                                                     \
	"  local id = math.max(t[1] * 1000000 + t[2], (tonumber(redis.call('GET', 'comet:ids') or '0')) + 1) "         \
	"  local text = string.format('%.0f', id) "                                                                    \
	"  redis.call('SET', 'comet:ids', text) "                                                                      \
	"  return text "                                                                                               \
	"end "

/* session(key): id, mid, epoch, server of what stands there, or nil. valid(epoch, server): is it under a lease? */
#define LUA_SESSION                                                                                                    \
	"local function session(key) "                                                                                 \
	"  local v = redis.call('GET', 'comet:session:' .. key) "                                                      \
	"  if not v then return nil end "                                                                              \
	"  return string.match(v, '^(%d+) (%-?%d+) (%d+) (.*)$') "                                                     \
	"end "                                                                                                         \
	"local function valid(epoch, server) "                                                                         \
	"  return epoch and redis.call('HGET', 'comet:server:' .. server, 'epoch') == epoch "                          \
	"end "

/* young(known, ms): has Redis lost its data, and so lately that the comets may not have registered again? `known` is the
 * generation that the caller knew last, '' for none. `generation` is the one that is. */
#define LUA_GENERATION                                                                                                 \
	"local generation = redis.call('GET', 'comet:generation') "                                                    \
	"if not generation then "                                                                                      \
	"  generation = string.format('%.0f', now) "                                                                   \
	"  redis.call('SET', 'comet:generation', generation) "                                                         \
	"end "                                                                                                         \
	"local function young(known, ms) "                                                                             \
	"  return known ~= '' and known ~= generation and now - tonumber(generation) < tonumber(ms) "                  \
	"end "

#endif

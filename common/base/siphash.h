/* siphash: SipHash-1-3 (Aumasson and Bernstein), a hash with a key: who does not know it cannot choose texts that collide, also not from
 * what he sees of many hashes. Pure; any thread. SPDX-License-Identifier: MIT */
#ifndef COMMON_BASE_SIPHASH_H
#define COMMON_BASE_SIPHASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct siphash_key {
	uint64_t k0, k1;
};

static inline uint64_t siphash_rotate(uint64_t x, unsigned bits)
{
	return x << bits | x >> (64 - bits);
}

static inline void siphash_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = siphash_rotate(v[1], 13) ^ v[0];
	v[0] = siphash_rotate(v[0], 32);
	v[2] += v[3];
	v[3] = siphash_rotate(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = siphash_rotate(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = siphash_rotate(v[1], 17) ^ v[2];
	v[2] = siphash_rotate(v[2], 32);
}

static inline uint64_t siphash_word(const uint8_t *bytes, size_t n)
{
	uint64_t word = 0;

	memcpy(&word, bytes, n);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	word = __builtin_bswap64(word);
#endif
	return word;
}

static inline uint64_t siphash(struct siphash_key key, const void *text, size_t n)
{
	uint64_t v[4] = {key.k0 ^ 0x736f6d6570736575, key.k1 ^ 0x646f72616e646f6d, key.k0 ^ 0x6c7967656e657261,
			 key.k1 ^ 0x7465646279746573};
	const uint8_t *bytes = text, *end = bytes + (n & ~(size_t)7);
	uint64_t word;

	for (; bytes < end; bytes += 8) {
		word = siphash_word(bytes, 8);
		v[3] ^= word;
		siphash_round(v);
		v[0] ^= word;
	}
	word = siphash_word(bytes, n & 7) | (uint64_t)n << 56;
	v[3] ^= word;
	siphash_round(v);
	v[0] ^= word;
	v[2] ^= 0xff;
	siphash_round(v);
	siphash_round(v);
	siphash_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

#endif

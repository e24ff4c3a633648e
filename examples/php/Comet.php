<?php
/* Comet: Comet's HTTP API for back ends. One file, PHP 8.1 with its extension curl; docs/http-api.md is its contract.
 *
 *     require 'Comet.php';
 *     $comet = new Comet\Comet('http://127.0.0.1:3111', apiKey: '...');
 *     $comet->pushUsers(1000, 'hello', [7, 'ann']);
 *     $position = $comet->pushRoom(1000, 'hello', 'chat', '1');
 *     foreach ($comet->upstream($load(), $save) as $packet) { ... }
 *
 * A call that fails throws CometException, whose code is the API's (docs/http-api.md), or 0 where no answer came. What can do no harm
 * when it is done twice is tried again, up to `tries` times: questions, kicks, and pushes to rooms, which get an Idempotency-Key for it.
 * Other pushes are tried again only where the server certainly did not take them.
 * SPDX-License-Identifier: MIT */
declare(strict_types=1);

namespace Comet;

class CometException extends \RuntimeException
{
    /** Another try may go better; and the server did nothing; and is to be asked again after so many seconds. */
    public function __construct(int $code, string $words, public bool $again = false, public bool $untaken = false,
        public float $after = 0.0)
    {
        parent::__construct("$words ($code)", $code);
    }
}

class Comet
{
    private \CurlHandle $curl;

    /** timeout: seconds for each try; pause: before the second, and twice as long before each further one; options: more of curl's. */
    public function __construct(private string $url = 'http://127.0.0.1:3111', private ?string $apiKey = null,
        private float $timeout = 5.0, private int $tries = 3, private float $pause = 0.2, private array $options = [])
    {
        $this->curl = curl_init();
    }

    // ---- pushes. Users are numbers and names

    public function pushKeys(int $operation, string $body, array $keys): void
    {
        $this->call('POST', '/goim/push/keys', compact('operation', 'keys'), $body);
    }

    public function pushUsers(int $operation, string $body, array $users): void
    {
        $this->call('POST', '/goim/push/users', compact('operation', 'users'), $body);
    }

    /** The push's number where the room is kept, otherwise null. A push of a name that came before is not made again. */
    public function pushRoom(int $operation, string $body, string $type, string $room, bool $keep = true, ?string $name = null): ?int
    {
        [, $headers] = $this->call('POST', '/goim/push/room', compact('operation', 'type', 'room') + ['keep' => $keep ? 'yes' : 'no'],
            $body, ['Idempotency-Key: ' . ($name ?? bin2hex(random_bytes(16)))], isSafe: true);
        return isset($headers['comet-position']) ? (int)$headers['comet-position'] : null;
    }

    public function pushAll(int $operation, string $body, int $speed = 0): void
    {
        $this->call('POST', '/goim/push/all', compact('operation', 'speed'), $body);
    }

    /** Each an array, such as ['operation' => 1000, 'users' => [7], 'body' => 'hello']; docs/http-api.md, Many at once. The answers, in
     * their order, of which each has its own code: one that failed throws nothing. */
    public function batch(array $pushes): array
    {
        $lines = implode('', array_map(fn($push) => json_encode($push, JSON_THROW_ON_ERROR) . "\n", $pushes));
        [$body] = $this->call('POST', '/goim/batch', [], $lines, ['Content-Type: application/x-ndjson'], isJson: false,
            waitMore: 10.0); // so long the server begins with further lines
        return array_map(fn($line) => json_decode($line, true, flags: JSON_THROW_ON_ERROR), explode("\n", trim($body)));
    }

    // ---- people

    /** ['keys' => [...]] or ['users' => [...]]: how many connections were sent away. */
    public function kick(array $who): int
    {
        return $this->data('POST', '/goim/kick', $who)['kicked'];
    }

    /** conn_count and ip_count. */
    public function online(): array
    {
        return $this->data('GET', '/goim/online/total');
    }

    public function onlineRooms(string $type, array $rooms): array
    {
        return $this->data('GET', '/goim/online/room', compact('type', 'rooms'));
    }

    // ---- streams

    /** The newest number of each room, by type://room. Read them before the data that a client is to have. */
    public function positions(string $type, array $rooms): array
    {
        return $this->data('GET', '/goim/stream/position', compact('type', 'rooms'));
    }

    /** The packets that clients send to the back end, for ever; each an array of id, key, mid, op and body. $acknowledge(id) is called
     * when the loop comes for the next one, so after a crash the packet that was worked on comes again. */
    public function upstream(string $after = '0', ?callable $acknowledge = null, float $wait = 30.0): \Generator
    {
        while (true) {
            foreach ($this->data('GET', '/goim/upstream', ['after' => $after, 'wait' => (int)($wait * 1000)], $wait) as $packet) {
                yield $packet;
                $after = $packet['id'];
                if ($acknowledge !== null) {
                    $acknowledge($after);
                }
            }
        }
    }

    // ---- calls

    private function data(string $method, string $path, array $params = [], float $waitMore = 0.0): array
    {
        return $this->call($method, $path, $params, isSafe: true, waitMore: $waitMore)[0]['data'];
    }

    /** The answer, and its headers by their names in small letters. */
    private function call(string $method, string $path, array $params, string $body = '', array $headers = [], bool $isSafe = false,
        bool $isJson = true, float $waitMore = 0.0): array
    {
        $pause = $this->pause;
        for ($try = 1; ; $try++) {
            try {
                return $this->try($method, $path . self::query($params), $body, $headers, $isJson, $waitMore);
            } catch (CometException $fault) {
                if ($try >= $this->tries || !$fault->again || !($isSafe || $fault->untaken)) {
                    throw $fault;
                }
                usleep((int)(1e6 * max($pause, min($fault->after, 10.0))));
                $pause *= 2;
            }
        }
    }

    /** A list is repeated: keys=a&keys=b. */
    private static function query(array $params): string
    {
        $pieces = [];
        foreach ($params as $name => $values) {
            foreach ((array)$values as $value) {
                $pieces[] = $name . '=' . rawurlencode((string)$value);
            }
        }
        return $pieces === [] ? '' : '?' . implode('&', $pieces);
    }

    private function try(string $method, string $target, string $body, array $headers, bool $isJson, float $waitMore): array
    {
        $answered = [];
        curl_reset($this->curl);
        curl_setopt_array($this->curl, $this->options + [
            CURLOPT_URL => $this->url . $target,
            CURLOPT_CUSTOMREQUEST => $method,
            CURLOPT_RETURNTRANSFER => true,
            CURLOPT_CONNECTTIMEOUT_MS => (int)(1000 * $this->timeout),
            CURLOPT_TIMEOUT_MS => (int)(1000 * ($this->timeout + $waitMore)),
            CURLOPT_HTTPHEADER => [...$headers, ...($this->apiKey !== null ? ["X-Api-Key: $this->apiKey"] : []), 'Expect:'],
            CURLOPT_HEADERFUNCTION => function ($curl, string $line) use (&$answered): int {
                [$name, $value] = explode(':', $line, 2) + [1 => ''];
                $answered[strtolower($name)] = trim($value);
                return strlen($line);
            },
        ] + ($method === 'POST' ? [CURLOPT_POSTFIELDS => $body] : []));
        $text = curl_exec($this->curl);
        if ($text === false) {
            throw new CometException(0, 'no answer: ' . curl_error($this->curl), again: true, untaken:
                in_array(curl_errno($this->curl), [CURLE_COULDNT_CONNECT, CURLE_COULDNT_RESOLVE_HOST], true));
        }
        return [self::judge(curl_getinfo($this->curl, CURLINFO_RESPONSE_CODE), $answered, $text, $isJson), $answered];
    }

    private static function judge(int $status, array $headers, string $text, bool $isJson): array|string
    {
        if ($status === 200 && !$isJson) {
            return $text;
        }
        $answer = json_decode($text, true);
        if (!is_array($answer) || !isset($answer['code'], $answer['message'])) {
            throw new CometException(-$status, "the answer is none of Comet's");
        }
        $code = $answer['code'];
        if ($code !== 0) {
            throw new CometException($code, $answer['message'], again: in_array($code, [-429, -500, -503], true),
                untaken: in_array($code, [-429, -503], true), after: (float)($headers['retry-after'] ?? 0));
        }
        return $answer;
    }
}

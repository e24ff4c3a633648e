<?php
/* The scenario of test_comet_api.py, with examples/php/Comet.php. SPDX-License-Identifier: MIT */
declare(strict_types=1);

use Comet\Comet;
use Comet\CometException;

[, $library, $url, $flaky, $nobody, $key] = $argv;
require $library;

function say(mixed ...$words): void
{
    echo implode(' ', $words), "\n";
}

$comet = new Comet($url, apiKey: $key);
$comet->pushUsers(1000, 'to users', [7, 'ann']);
$comet->pushKeys(1000, 'to keys', ['a,b', 'nobody']);
$first = $comet->pushRoom(1000, 'to room', 'chat', '1');
$again = [$comet->pushRoom(1000, 'once', 'chat', '1', name: 'name'), $comet->pushRoom(1000, 'once', 'chat', '1', name: 'name')];
say('numbers', $again[0] - $first, $again[1] - $first, $comet->pushRoom(1000, 'unkept', 'chat', '1', keep: false) ?? 'None');
$comet->pushAll(1000, 'to all');
$answers = $comet->batch([['operation' => 1000, 'users' => [7], 'body' => "é\n1"], ['operation' => 6, 'users' => [7]],
    ['operation' => 1000, 'type' => 'chat', 'room' => '1', 'body' => '2'], ['operation' => 1000, 'all' => true, 'body' => '3']]);
say('batch', ...[...array_column($answers, 'code'), $answers[2]['position'] - $first]);
say('position', $comet->positions('chat', ['1'])['chat://1'] - $first);
$counts = $comet->onlineRooms('chat', ['1', '2']);
say('online', $comet->online()['conn_count'], "{'1': {$counts['1']}, '2': {$counts['2']}}");
$kept = '0';
$n = 0;
$acknowledge = function (string $id) use (&$kept): void {
    $kept = $id;
};
foreach ($comet->upstream(acknowledge: $acknowledge) as $packet) {
    say('packet', $packet['op'], $packet['body'], $packet['key']);
    if (++$n === 2) {
        break;
    }
}
foreach ($comet->upstream($kept) as $packet) {
    say('again', $packet['body']);
    break;
}
say('kicked', $comet->kick(['users' => [7]]));
foreach ([new Comet($url, apiKey: 'wrong'), new Comet($nobody, tries: 2, pause: 0.01)] as $wrong) {
    try {
        $wrong->pushUsers(1000, 'x', [7]);
    } catch (CometException $fault) {
        say('fault', $fault->getCode());
    }
}
$hurried = new Comet($flaky, timeout: 0.5, pause: 0.01);
say('flaky', $hurried->pushRoom(1000, 'x', 'chat', '1'));
try {
    $hurried->pushAll(1000, 'x');
} catch (CometException $fault) {
    say('fault', $fault->getCode());
}
say('late', ...array_column($hurried->batch([['operation' => 1000, 'users' => [7], 'body' => 'x']]), 'code'));
$hurried->pushKeys(1000, 'x', ['k']);
(new Comet($flaky))->online(); // is answered when the server has closed the connection
$hurried->pushKeys(1000, 'x', ['k']);
say('twice');

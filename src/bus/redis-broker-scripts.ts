/**
 * Owns the two scripts of the broker. Keys: the counter of an address (hash: epoch, newest offset, run_id of the Redis
 * process that counted, seconds of history), its history (a list whose last is the newest offset, without a hole; each with
 * 8 bytes of Redis' own time in front), the receipts of the publishing instance, and the idempotency key. All expire by
 * themselves. A list, since a stream takes 4 kB for its first message.
 */

import { redisScript } from '#bus/redis-link.ts';

/** Seconds that a counter outlives its last use: a day longer than the longest history. */
const COUNTER_SECONDS = 2 * 86_400;
/**
 * The same of an address that nobody published to: whoever reads addresses of his own invention fills Redis for minutes, not
 * for days. Channels with viewers are read more often (`lookMs`); who comes back later to an empty one may hear of a gap.
 */
const UNUSED_SECONDS = 600;
/** Seconds that receipts outlive the last publication of their instance: longer than any publication is tried. */
const RECEIPT_SECONDS = 120;

/**
 * Finds the epoch. Another run_id means that this Redis process was restarted or was a replica before, so it may have
 * forgotten the newest offsets: the epoch ends, while what it kept stays readable and the offsets go on.
 */
const findEpoch = `
local counter = redis.call('HMGET', KEYS[1], 'epoch', 'newest', 'run', 'seconds')
local epoch, newest, changed = counter[1], tonumber(counter[2]), 0
if not epoch then
  epoch, newest = ARGV[1], 0
  redis.call('DEL', KEYS[2])
elseif counter[3] ~= ARGV[2] then
  epoch, changed = ARGV[1], 1
end
local time = redis.call('TIME')
local nowMs = time[1] * 1000 + math.floor(time[2] / 1000)
local function dropOld(bornAfterMs, most)
  for _ = 1, most do
    local first = redis.call('LINDEX', KEYS[2], 0)
    if not first or struct.unpack('>d', first) > bornAfterMs then return end
    redis.call('LPOP', KEYS[2])
  end
end
`;

/**
 * Arguments: a new epoch in case one is needed, run_id, time and payload, messages, seconds, the channel to publish to,
 * the publication's number at its instance, its place among the receipts, seconds of a key. Answers epoch, offset, 0 for
 * made, 1 for known by its key, 2 for overtaken, and 1 when a known epoch ended.
 */
export const publishScript = redisScript(`
local receipt = redis.call('HGET', KEYS[3], ARGV[8])
if receipt then
  local number, epoch, offset = string.match(receipt, '^(%d+) (%x+) (%d+)$')
  if tonumber(number) == tonumber(ARGV[7]) then return { epoch, tonumber(offset), 0, 0 } end
  if tonumber(number) > tonumber(ARGV[7]) then return { '', 0, 2, 0 } end
end
if KEYS[4] then
  local known = redis.call('GET', KEYS[4])
  if known then
    local epoch, offset = string.match(known, '^(%x+) (%d+)$')
    return { epoch, tonumber(offset), 1, 0 }
  end
end
${findEpoch}
newest = newest + 1
local messages, seconds = tonumber(ARGV[4]), tonumber(ARGV[5])
redis.call('HSET', KEYS[1], 'epoch', epoch, 'newest', string.format('%.0f', newest), 'run', ARGV[2], 'seconds', ARGV[5])
redis.call('EXPIRE', KEYS[1], ${COUNTER_SECONDS})
local offset = string.format('%.0f', newest)
if messages > 0 then
  local length = redis.call('RPUSH', KEYS[2], struct.pack('>d', nowMs) .. ARGV[3])
  if length > messages then redis.call('LTRIM', KEYS[2], -messages, -1) end
  -- Dropping twice as many as came keeps up with time; what is left over, reading drops.
  if newest % 16 == 0 then dropOld(nowMs - seconds * 1000, 32) end
  redis.call('EXPIRE', KEYS[2], seconds)
else
  redis.call('DEL', KEYS[2])
end
local position = epoch .. ' ' .. offset
redis.call('HSET', KEYS[3], ARGV[8], ARGV[7] .. ' ' .. position)
redis.call('EXPIRE', KEYS[3], ${RECEIPT_SECONDS})
if KEYS[4] then redis.call('SET', KEYS[4], position, 'EX', ARGV[9]) end
redis.call('PUBLISH', ARGV[6], epoch .. struct.pack('>d', newest) .. ARGV[3])
return { epoch, newest, 0, changed }
`);

/**
 * Arguments: a new epoch in case one is needed, run_id, `after`, `before` or `newest`, an offset, a limit. Answers epoch,
 * newest and oldest offset, the offset of the first entry, the entries, and 1 when a known epoch ended.
 */
export const historyScript = redisScript(`
${findEpoch}
if not counter[1] or changed == 1 then
  redis.call('HSET', KEYS[1], 'epoch', epoch, 'newest', string.format('%.0f', newest), 'run', ARGV[2])
end
redis.call('EXPIRE', KEYS[1], newest > 0 and ${COUNTER_SECONDS} or ${UNUSED_SECONDS})
dropOld(nowMs - tonumber(counter[4] or '0') * 1000, math.huge)
local length = redis.call('LLEN', KEYS[2])
local oldest = newest - length + 1
local bound, limit = tonumber(ARGV[4]), tonumber(ARGV[5])
local from, to = 0, length
if ARGV[3] == 'after' then
  from = math.max(0, bound + 1 - oldest)
  to = math.min(length, from + limit)
else
  if ARGV[3] == 'before' then to = math.min(length, math.max(0, bound - oldest)) end
  from = math.max(0, to - limit)
end
local entries = {}
if from < to then entries = redis.call('LRANGE', KEYS[2], from, to - 1) end
return { epoch, newest, oldest, oldest + from, entries, changed }
`);

export const brokerScripts = [publishScript, historyScript];

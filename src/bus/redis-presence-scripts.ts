/**
 * Owns the scripts of presence. Keys under the prefix: `lease:I` (a string that expires: instance I lives), `instances`
 * (set of those that have members), `rooms:I` (set of addresses where I has members), `room:A` (set of instances with
 * members at A), `members:I:A` (hash of I's members at A). Every change is told in the step that makes it.
 */

import { redisScript } from '#bus/redis-link.ts';

/** Takes what instance `id` has at `address` away and tells so. */
const dropRoom = `
local function dropRoom(prefix, id, address)
  local members = prefix .. 'members:' .. id .. ':' .. address
  for _, member in ipairs(redis.call('HKEYS', members)) do
    redis.call('PUBLISH', prefix .. 'p:' .. address, cjson.encode({ type = 'left', id = member }))
  end
  redis.call('DEL', members)
  redis.call('SREM', prefix .. 'room:' .. address, id)
  redis.call('SREM', prefix .. 'rooms:' .. id, address)
end
`;

/** Arguments: prefix, instance, address, member id, member as JSON, message to tell. Answers 0 when the lease has ended. */
export const enterScript = redisScript(`
local prefix, id, address = ARGV[1], ARGV[2], ARGV[3]
if redis.call('EXISTS', prefix .. 'lease:' .. id) == 0 then return 0 end
redis.call('HSET', prefix .. 'members:' .. id .. ':' .. address, ARGV[4], ARGV[5])
redis.call('SADD', prefix .. 'room:' .. address, id)
redis.call('SADD', prefix .. 'rooms:' .. id, address)
redis.call('PUBLISH', prefix .. 'p:' .. address, ARGV[6])
return 1
`);

/** Arguments: prefix, instance, address, member id, message to tell. */
export const leaveScript = redisScript(`
local prefix, id, address = ARGV[1], ARGV[2], ARGV[3]
local members = prefix .. 'members:' .. id .. ':' .. address
if redis.call('HDEL', members, ARGV[4]) == 0 then return 0 end
if redis.call('EXISTS', members) == 0 then
  redis.call('SREM', prefix .. 'room:' .. address, id)
  redis.call('SREM', prefix .. 'rooms:' .. id, address)
end
redis.call('PUBLISH', prefix .. 'p:' .. address, ARGV[5])
return 1
`);

/** Arguments: prefix, address, limit. Answers the count and members as JSON; instances whose lease ended are dropped. */
export const membersScript = redisScript(`
${dropRoom}
local prefix, address, limit = ARGV[1], ARGV[2], tonumber(ARGV[3])
local count, listed = 0, {}
for _, id in ipairs(redis.call('SMEMBERS', prefix .. 'room:' .. address)) do
  if redis.call('EXISTS', prefix .. 'lease:' .. id) == 0 then dropRoom(prefix, id, address)
  else
    local members = prefix .. 'members:' .. id .. ':' .. address
    count = count + redis.call('HLEN', members)
    local cursor, seen = '0', {}
    while #listed < limit do
      local page = redis.call('HSCAN', members, cursor, 'COUNT', 100)
      for i = 1, #page[2], 2 do
        -- A scan may name a field twice while the hash grows.
        if not seen[page[2][i]] and #listed < limit then
          seen[page[2][i]] = true
          listed[#listed + 1] = page[2][i + 1]
        end
      end
      cursor = page[1]
      if cursor == '0' then break end
    end
  end
end
return { count, listed }
`);

/** Arguments: prefix, instance, lease in ms. Answers 1 when the lease was still running. */
export const renewScript = redisScript(`
local prefix, id = ARGV[1], ARGV[2]
local was = redis.call('EXISTS', prefix .. 'lease:' .. id)
redis.call('SET', prefix .. 'lease:' .. id, '1', 'PX', ARGV[3])
redis.call('SADD', prefix .. 'instances', id)
return was
`);

/** Arguments: prefix, rooms at most. Drops what dead instances have; answers how many rooms that were. */
export const reapScript = redisScript(`
${dropRoom}
local prefix, left, dropped = ARGV[1], tonumber(ARGV[2]), 0
for _, id in ipairs(redis.call('SMEMBERS', prefix .. 'instances')) do
  if redis.call('EXISTS', prefix .. 'lease:' .. id) == 0 then
    for _, address in ipairs(redis.call('SRANDMEMBER', prefix .. 'rooms:' .. id, left - dropped)) do
      dropRoom(prefix, id, address)
      dropped = dropped + 1
    end
    if redis.call('EXISTS', prefix .. 'rooms:' .. id) == 0 then redis.call('SREM', prefix .. 'instances', id) end
    if dropped >= left then break end
  end
end
return dropped
`);

/** Arguments: prefix, instance. Answers pairs of an address and the ids of the instance's members there. */
export const ownScript = redisScript(`
local prefix, id, rooms = ARGV[1], ARGV[2], {}
for _, address in ipairs(redis.call('SMEMBERS', prefix .. 'rooms:' .. id)) do
  rooms[#rooms + 1] = { address, redis.call('HKEYS', prefix .. 'members:' .. id .. ':' .. address) }
end
return rooms
`);

export const presenceScripts = [enterScript, leaveScript, membersScript, renewScript, reapScript, ownScript];

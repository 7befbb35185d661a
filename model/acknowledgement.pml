/*
 * Owns the model of how a reading gets from a device's store into the database exactly once: acknowledgement, guard,
 * generation, and what follows a restore. One device, one database, two servers; sets of readings are bit masks. Read
 * README.md beside this for what each part stands for. The nemesis spends at most FAULTS faults, in every combination,
 * at every moment. A macro in BREAK_... puts one deliberate bug in; check-model shows that each is found.
 */

#ifndef READINGS
#define READINGS 2
#endif
#ifndef FAULTS
#define FAULTS 2
#endif
#define SERVERS 2
#define ALL ((1 << READINGS) - 1)
#define NONE 255
/* The first reading that is not in a set: the `next` of an acknowledgement. */
#define next(set) (((set) & 1) == 0 -> 0 : (((set) & 2) == 0 -> 1 : (((set) & 4) == 0 -> 2 : 3)))

/* Any reading of a set that is not empty. */
inline pick(reading, set) {
  if :: (set) & 1 -> reading = 0 :: (set) & 2 -> reading = 1 :: (set) & 4 -> reading = 2 fi
}

mtype = { idle, locked, again };    /* phases of a writer: src/store/writer-machine.ts */
mtype = { opened, ack, rewind };    /* what a server says: docs/protocol.md */

/* ---- The database. What a crash of anything leaves is here and in the device's store. ---- */
byte committed, lost;               /* the guard row: ranges committed, ranges declared lost */
byte rows, twice;                   /* the chunk table: readings with a row; with more than one */
bool exists;                        /* whether the guard row was made (by opening the stream) */
byte generation = 1, incarnation = 1;   /* of the device's row (it was here before); of the server's row */
byte owner = NONE;                  /* whose transaction holds the guard row's lock */
byte wasCommitted, wasLost, wasGeneration; bool existed;    /* the newest back-up */

/* ---- Servers: gateway and writer of one process. All of it goes with the process. ---- */
typedef Server {
  byte wire, wireLost;              /* on the way from the device: readings, tombstones */
  byte buffer, bufferLost;          /* received: src/ingest/stream-buffer.ts */
  byte batch, batchLost;            /* taken by the flush */
  byte fresh, freshLost;            /* of these, what the guard row did not have: src/store/flush-plan.ts */
  mtype phase = idle;
  byte newest;                      /* generation of the connection it takes for the device's; 0: none */
  byte asked;                       /* generation whose `open` is not answered yet */
  byte listener;                    /* generation that has the stream open and hears of commits */
  byte incarnation = 1;             /* that it works with */
  bool isStopped;                   /* SIGSTOP: a zombie until it wakes */
};
Server at[SERVERS];
chan down = [2] of { mtype, byte };  /* what a server says on the device's connection, and what is settled */

/* ---- The device: src/sdk/device-dialogue.ts, device-store.ts ---- */
byte held = ALL;                    /* readings in its store */
byte settled;                       /* what it was told is committed or declared */
byte declared;                      /* its own losses: what will never come */
byte sent, stated;                  /* on this connection: readings, losses */
byte seen;                          /* incarnation that has stated everything; 0: none */
byte conn = NONE, gen, welcomed;    /* connected to which server, as which generation; its incarnation then */
bool isOpen, isEnded;               /* the stream is open; a terminal code said not to come back */

byte faults = FAULTS;
byte acknowledged;                  /* since the last restore, to anybody: for the invariant only */

#ifdef BREAK_STALE_ACKNOWLEDGEMENT
byte late;                          /* an acknowledgement of the connection before, heard on this one */
#endif

/* ---- What may never happen, and what must in the end ---- */
#define settledInDatabase (committed | lost)
#define isAcknowledgedStored ((acknowledged & ~settledInDatabase) == 0)
#define isStoredOnce (twice == 0 && rows == committed && (committed & lost) == 0)
ltl acknowledgedIsStored { [] isAcknowledgedStored }
ltl storedOnce { [] isStoredOnce }
ltl both { [] (isAcknowledgedStored && isStoredOnce) }      /* in one search */
ltl everyReadingSettles { <> [] (settledInDatabase == ALL && settled == ALL) }
ltl nothingIsLost { <> [] (rows == ALL) }          /* with ROOM: the device has room and its disk is whole */

/* ================================ server ================================ */

/* What is said on a connection that the device has left reaches nobody. */
inline say(s, kind) {
  if
  :: at[s].listener != 0 && kind != rewind -> acknowledged = acknowledged | settledInDatabase
  :: else
  fi;
  if
  :: conn == s && at[s].listener == gen -> down!kind, settledInDatabase
  :: else
  fi
}

/* The connection is closed. */
inline hangUp(s) { at[s].newest = 0; at[s].asked = 0; at[s].listener = 0 }

/* What the plan adds is subtracted from what the guard row says under its lock. */
inline plan(s) {
#ifdef BREAK_GUARD
  at[s].fresh = at[s].batch;
#else
  at[s].fresh = at[s].batch & ~committed;
#endif
  at[s].freshLost = at[s].batchLost & ~(committed | lost | at[s].fresh)
}

inline commitTransaction(s) {
  twice = twice | (rows & at[s].fresh);
  rows = rows | at[s].fresh;
  committed = committed | at[s].fresh;
#ifdef BREAK_STORED_WINS
  lost = lost | at[s].freshLost;
#else
  lost = (lost & ~at[s].fresh) | (at[s].freshLost & ~committed);
#endif
  if :: owner == s -> owner = NONE :: else fi
}

inline endFlush(s) {
  at[s].phase = idle;
  at[s].batch = 0; at[s].batchLost = 0; at[s].fresh = 0; at[s].freshLost = 0
}

#if defined(BREAK_LOCK)             /* the guard row is read without FOR UPDATE */
#define mayLock(s) true
#define holdsLock(s) true
#elif defined(BREAK_FENCING)        /* a lock that is taken away does not end its transaction */
#define mayLock(s) (owner == NONE)
#define holdsLock(s) true
#else
#define mayLock(s) (owner == NONE)
#define holdsLock(s) (owner == s)
#endif

active [SERVERS] proctype server() {
  byte me = _pid;
  do
  :: atomic { !at[me].isStopped && (at[me].wire | at[me].wireLost) != 0 ->
       printf("server %d receives %d, tombstones %d\n", me, at[me].wire, at[me].wireLost);
       at[me].buffer = at[me].buffer | at[me].wire; at[me].wire = 0;
       at[me].bufferLost = at[me].bufferLost | at[me].wireLost; at[me].wireLost = 0 }

  /* The answer to `open` makes the guard row and states what is settled, whatever the device remembers. */
  :: atomic { !at[me].isStopped && at[me].asked != 0 && nfull(down) ->
       printf("server %d opens the stream for generation %d, states %d\n", me, at[me].asked, settledInDatabase);
       exists = true;
       at[me].listener = at[me].asked; at[me].asked = 0;
       say(me, opened) }

  /* A flush: BEGIN, lock the guard row, subtract. `again` has a batch whose outcome is not known. */
  :: atomic { !at[me].isStopped && mayLock(me) && nfull(down) &&
              ((at[me].phase == idle && (at[me].buffer | at[me].bufferLost) != 0) || at[me].phase == again) ->
       at[me].batch = at[me].batch | at[me].buffer; at[me].buffer = 0;
       at[me].batchLost = at[me].batchLost | at[me].bufferLost; at[me].bufferLost = 0;
       if
       :: !exists ->                /* never made, or gone with a restore: the device has to open it again */
          printf("server %d finds no guard row\n", me);
          endFlush(me);
#ifndef BREAK_UNKNOWN_STREAM
          hangUp(me)
#endif
       :: else ->
          printf("server %d locks the guard row\n", me);
#ifdef BREAK_RETRY
          if :: at[me].phase == idle -> plan(me) :: else fi;
#else
          plan(me);
#endif
          at[me].phase = locked; owner = me;
#ifdef BREAK_ACKNOWLEDGE_EARLY
          acknowledged = acknowledged | (at[me].listener -> at[me].batch : 0)
#endif
       fi }

  :: atomic { !at[me].isStopped && at[me].phase == locked && holdsLock(me) && nfull(down) ->
       printf("server %d commits %d, losses %d\n", me, at[me].fresh, at[me].freshLost);
       commitTransaction(me); endFlush(me);
       say(me, ack) }
  /* The transaction was ended from outside. */
  :: atomic { !at[me].isStopped && at[me].phase == locked && !holdsLock(me) ->
       printf("server %d finds its transaction ended\n", me);
       at[me].phase = again }

#ifndef BREAK_NOTICE
  /* Another incarnation: every connection begins anew. */
  :: atomic { !at[me].isStopped && at[me].incarnation != incarnation ->
       printf("server %d notices incarnation %d and hangs up\n", me, incarnation);
       at[me].incarnation = incarnation;
       hangUp(me) }
#endif
  od
}

/* ================================ device ================================ */

/* A statement that replaces what was known. What is missing, was settled once and is no longer held will never come. */
inline takeWhole(statement) {
  sent = sent & ~(settled & ~(statement));
  settled = statement;
#ifndef BREAK_DECLARE
  declared = declared | (ALL & ~(settled | held))
#endif
}

inline disconnect(keepsWire) {
  if
  :: keepsWire                      /* what is under way still arrives, however late */
  :: at[conn].wire = 0; at[conn].wireLost = 0
  fi;
#ifdef BREAK_STALE_ACKNOWLEDGEMENT
  do :: down?ack, late :: down?opened, _ :: down?rewind, _ :: empty(down) -> break od;
#else
  do :: down?_, _ :: empty(down) -> break od;
#endif
#ifndef BREAK_TOMBSTONE
  stated = 0;
#endif
  conn = NONE; gen = 0; welcomed = 0; isOpen = false; sent = 0
}

/* The newest connection of a device lives. */
inline greet(s) {
  generation++; gen = generation; welcomed = incarnation;
#ifndef BREAK_GENERATION
  if
  :: at[s].incarnation != incarnation -> at[s].incarnation = incarnation; hangUp(s)
  :: else
  fi;
#endif
  if
  :: at[s].newest > gen -> isEnded = true       /* `superseded` */
  :: else ->
     at[s].wire = 0; at[s].wireLost = 0; hangUp(s);
     at[s].newest = gen; conn = s;
     if
     :: settled != ALL || seen != welcomed -> at[s].asked = gen
     :: else                        /* nothing to say, nothing to ask */
     fi
  fi
}

active proctype device() {
  byte s, r, statement;
  mtype kind = idle;
  do
  :: atomic { conn == NONE && !isEnded ->
       if :: !at[0].isStopped -> s = 0 :: !at[1].isStopped -> s = 1 fi;
       greet(s);
       printf("device connects to server %d as generation %d, incarnation %d\n", s, gen, welcomed);
       s = 0 }

  /* The socket broke, or was silent for three heartbeats. */
  :: atomic { conn != NONE && (at[conn].newest != gen || at[conn].isStopped) ->
       printf("device misses server %d\n", conn);
       disconnect(true) }

  :: atomic { isOpen && (held & ~(settled | sent)) != 0 ->
       pick(r, held & ~(settled | sent));
       printf("device sends reading %d\n", r);
       sent = sent | (1 << r);
       at[conn].wire = at[conn].wire | (1 << r); r = 0 }
  :: atomic { isOpen && (declared & ~(settled | stated)) != 0 ->
       printf("device states losses %d\n", declared & ~(settled | stated));
       at[conn].wireLost = at[conn].wireLost | (declared & ~(settled | stated));
       stated = stated | declared }

  :: atomic { down?kind, statement ->
       printf("device hears %e: %d is settled\n", kind, statement);
       if
       :: kind == opened -> isOpen = true; takeWhole(statement); seen = welcomed
       :: kind == ack ->
          if
          :: next(statement) < next(settled) -> takeWhole(statement)
          :: else -> settled = settled | statement
          fi;
#ifdef BREAK_FORGET
          held = held & ~settled
#endif
       :: kind == rewind -> sent = 0
       fi;
       kind = idle; statement = 0 }

#ifdef BREAK_STALE_ACKNOWLEDGEMENT
  :: atomic { late != 0 && isOpen ->
       printf("device hears late that %d was settled\n", late);
       settled = settled | late; late = 0 }
#endif

#ifndef ROOM
  /* Room is needed: settled readings go first. */
  :: atomic { (held & settled) != 0 ->
       printf("device frees %d\n", held & settled);
       held = held & ~settled }
#endif
  od
}

/* ================================ nemesis ================================ */

/* A back-up that will not be restored any more is nobody's concern. */
inline spend() {
  faults--;
  if :: faults == 0 -> forgetBackUp() :: else fi
}

inline forgetBackUp() { wasCommitted = 0; wasLost = 0; wasGeneration = 0; existed = false }

active proctype nemesis() {
  byte s;
  do
  :: atomic { faults > 0 && conn != NONE ->
       printf("fault: the connection breaks\n");
       spend(); disconnect(true) }
  /* SIGKILL. A COMMIT under way may or may not have been carried out. */
  :: atomic { faults > 0 ->
       if :: s = 0 :: s = 1 fi;
       spend();
       if
       :: at[s].phase == locked && holdsLock(s) -> commitTransaction(s);
          printf("fault: server %d is killed, but its COMMIT was carried out\n", s)
       :: printf("fault: server %d is killed\n", s)
       fi;
       if :: owner == s -> owner = NONE :: else fi;
       at[s].wire = 0; at[s].wireLost = 0; at[s].buffer = 0; at[s].bufferLost = 0; at[s].isStopped = false;
       at[s].incarnation = incarnation;
       endFlush(s); hangUp(s); s = 0 }
  /* The answer to COMMIT is lost, or the transaction dies before it. */
  :: atomic { faults > 0 && (at[0].phase == locked || at[1].phase == locked) ->
       if :: at[0].phase == locked -> s = 0 :: at[1].phase == locked -> s = 1 fi;
       spend();
       if
       :: holdsLock(s) -> commitTransaction(s); at[s].phase = again;
          printf("fault: server %d does not hear that its COMMIT was carried out\n", s);
       :: at[s].phase = again; if :: owner == s -> owner = NONE :: else fi;
          printf("fault: the transaction of server %d dies\n", s);
#ifdef BREAK_UNKNOWN_OUTCOME
          acknowledged = acknowledged | (at[s].listener -> at[s].batch : 0); endFlush(s)
#endif
       fi;
       s = 0 }
  /* The database crashes. Making the guard row did not wait for the disk; a flush that settles something does. */
  :: atomic { faults > 0 && exists ->
       printf("fault: the database crashes\n");
       spend(); owner = NONE;
       if :: true :: settledInDatabase == 0 -> exists = false fi }
  /* A zombie. Of the two, which are alike, server 0 is the one; it may never wake. */
  :: atomic { faults > 0 && !at[0].isStopped ->
       printf("fault: server 0 stops\n");
       spend(); at[0].isStopped = true }
  :: atomic { at[0].isStopped ->
       printf("server 0 wakes\n");
       at[0].isStopped = false }
  /* The database ends the transaction of a client that has stopped (idle time-out, or a waiting writer asks for it). */
  :: atomic { owner == 0 && at[0].isStopped ->
       printf("database ends the transaction of server 0\n");
       owner = NONE }
  /* A buffer overflows: the server asks for what it dropped. */
  :: atomic { faults > 0 && nfull(down) && (at[0].buffer | at[1].buffer) != 0 ->
       if :: at[0].buffer != 0 -> s = 0 :: at[1].buffer != 0 -> s = 1 fi;
       printf("fault: server %d drops %d\n", s, at[s].buffer);
       spend(); at[s].buffer = 0;
#ifndef BREAK_REWIND
       say(s, rewind);
#endif
       s = 0 }
#ifndef ROOM
  /* The device overwrites what was never settled. */
  :: atomic { faults > 0 && (held & ~settled) != 0 ->
       pick(s, held & ~settled);
       printf("fault: device overwrites reading %d\n", s);
       spend(); held = held & ~(1 << s); declared = declared | (1 << s); s = 0 }
#endif
  /* A back-up, at any moment; the newest counts, and the empty database is the first. */
  :: atomic { faults > 0 && incarnation == 1 &&
              (wasCommitted != committed || wasLost != lost || wasGeneration != generation || existed != exists) ->
       printf("the database is backed up\n");
       wasCommitted = committed; wasLost = lost; wasGeneration = generation; existed = exists }
  /* Restored, or a standby that had not heard everything takes over; servers live on. All transactions are gone. */
  :: atomic { faults > 0 && incarnation == 1 ->
       printf("fault: the database is restored\n");
       committed = wasCommitted; rows = wasCommitted; lost = wasLost; generation = wasGeneration; exists = existed;
       faults--; forgetBackUp();
       owner = NONE; acknowledged = 0;
#ifndef BREAK_INCARNATION
       incarnation++
#endif
     }
  od
}

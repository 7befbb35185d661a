/** Owns what the channels benchmark and its client processes say to each other over the control channel. */

import type { HistogramSnapshot } from '#bench/support/latency-histogram.ts';
import type { FleetPlan } from '#bench/channels/fleet.ts';

/** Commands are carried out one after the other; each is answered by one `done`, `loop` by a `measuring` before it. */
export type ClientCommand =
  | { readonly type: 'fleet'; readonly fleet: string; readonly plan: FleetPlan }
  | { readonly type: 'connect'; readonly fleet: string; readonly count: number }
  /** Members [first, first + count) in rooms of `roomSize` each: `prefix`0, `prefix`1, ... */
  | {
      readonly type: 'subscribe';
      readonly fleet: string;
      readonly first: number;
      readonly count: number;
      readonly roomSize: number;
      readonly prefix: string;
    }
  /**
   * Publishes to the rooms of members [first, first + count) by members [firstPublisher, firstPublisher + publishers), or
   * each room by its own members when there are none of these.
   */
  | {
      readonly type: 'loop';
      readonly fleet: string;
      readonly first: number;
      readonly count: number;
      readonly roomSize: number;
      readonly firstPublisher: number;
      readonly publishers: number;
      readonly inFlight: number;
      readonly inFlightPerGroup: number;
      readonly payloadBytes: number;
      readonly warmUpMs: number;
      readonly windowMs: number;
    }
  /** The members of `from` publish in turn to the rooms of all members of `to`, at a fixed rate. */
  | {
      readonly type: 'pace';
      readonly from: string;
      readonly to: string;
      readonly rateHz: number;
      readonly payloadBytes: number;
      readonly warmUpMs: number;
      readonly windowMs: number;
    }
  /** Ends members [first, first + count). Those before `first` stay. */
  | { readonly type: 'cut'; readonly fleet: string; readonly first: number; readonly count: number }
  /** Publishes once by member 0 to the room of member `to`; done when members [to, to + count) have it. */
  | {
      readonly type: 'publish';
      readonly fleet: string;
      readonly to: number;
      readonly count: number;
      readonly payloadBytes: number;
    }
  /** Brings members [first, first + count) back; done when all are subscribed and have what they missed, if the server gives it. */
  | {
      readonly type: 'come-back';
      readonly fleet: string;
      readonly first: number;
      readonly count: number;
      /** Publications that each missed. */
      readonly missed: number;
    }
  | { readonly type: 'close'; readonly fleet: string };

export interface ClientDone {
  readonly type: 'done';
  readonly elapsedMs: number;
  readonly cpuS: number;
  /** Of `loop`: in the window. Of `come-back`: publications that arrived again. */
  readonly deliveries: number;
  readonly publications: number;
  /** Of `come-back`: members that the server says miss nothing. */
  readonly recovered: number;
  /** Of `pace`. */
  readonly latency: HistogramSnapshot | null;
}

export interface ClientMeasuring {
  readonly type: 'measuring';
}

export interface ClientMeasured {
  readonly type: 'measured';
}

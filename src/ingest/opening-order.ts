/**
 * Owns the order in which one connection's openings are looked up: those of one stream one after another, others at the
 * same time. An epoch that says that the store before it was lost closes the epochs that were opened before it, and only
 * those: if the two overtook each other in the database, the tail of the older one would stay open for ever and nobody
 * would hear of it. Bound: the openings under way, which are limits.streamsPerConnection.
 */

/** `open` must not reject. */
export type OpeningOrder = (streamId: string, open: () => Promise<void>) => void;

export function createOpeningOrder(): OpeningOrder {
  const underWay = new Map<string, Promise<void>>();
  return (streamId, open) => {
    const before = underWay.get(streamId);
    const mine = before === undefined ? open() : before.then(open);
    underWay.set(streamId, mine);
    void mine.then(() => {
      if (underWay.get(streamId) === mine) underWay.delete(streamId);
    });
  };
}

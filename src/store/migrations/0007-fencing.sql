-- Which connection of the device wrote last (docs/protocol.md, "One writer at a time"). Connections are numbered by their
-- device's generation; the writer takes nothing of an older one, and lets a newer one write only where nobody else has
-- since it opened the stream. 0: nothing was written since this column is there, or only by paths without a connection.
alter table kymo.stream_epoch add column generation bigint not null default 0;

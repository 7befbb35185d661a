-- The writer asks for the incarnation before its first flush on a new connection, with the end of the log that it saw before:
-- once something is written to a database whose files were put back, its log grows past what anybody has seen.
grant execute on function kymo.incarnation(pg_lsn) to kymo_writer;

-- An entry about a job is about the patient of the job, or of the job's session.
create or replace function kymo.audit_append(entries json) returns void
language plpgsql security definer set search_path = kymo, pg_temp as $$
begin
  perform pg_advisory_xact_lock_shared(5962119);
  insert into kymo.audit_entry (org_id, at, request_id, actor_kind, actor_role, actor, action, route, patient_id,
                                resource_kind, resource_id, patients, status, address)
  select e.org, timestamptz 'epoch' + e.at * interval '1 microsecond', e.request, e.kind, e.role, e.actor, e.action, e.route,
         coalesce(e.patient, case e.of
           when 'session' then (select s.patient_id from kymo.session s where s.id = e.id and s.org_id = e.org)
           when 'stream' then (select s.patient_id from kymo.stream t join kymo.session s on s.id = t.session_id
                                where t.id = e.id and t.org_id = e.org)
           when 'job' then (select coalesce(j.patient_id, s.patient_id) from kymo.job j
                              left join kymo.session s on s.id = j.session_id where j.id = e.id and j.org_id = e.org) end),
         e.of, e.id, e.patients, e.status, e.address
    from json_to_recordset(entries) as e(org uuid, at bigint, request uuid, kind text, role text, actor text, action text,
           route text, patient uuid, of text, id uuid, patients uuid[], status smallint, address text);
end $$;

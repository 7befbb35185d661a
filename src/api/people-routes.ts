/** Owns the routes that concern people, joined: ways in, the own account, members and invitations. */

import { addAccountRoutes } from '#api/account-routes.ts';
import type { Api, ApiOptions } from '#api/api-options.ts';
import { addEntranceRoutes } from '#api/entrance-routes.ts';
import { addMemberRoutes } from '#api/member-routes.ts';
import type { People } from '#identity/people.ts';

export type PeopleRouteOptions = Pick<ApiOptions, 'origins' | 'onRevoked'> & { readonly people: People };

export function addPeopleRoutes(api: Api, options: PeopleRouteOptions): void {
  addEntranceRoutes(api, options);
  addAccountRoutes(api, options);
  addMemberRoutes(api, options);
}

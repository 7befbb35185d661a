/** Owns the list of the channels that every server has. */

import type { AnyChannel } from '#contract/channel-definition.ts';
import {
  createDeviceCommands,
  type DeviceCommands,
  type OnRequested,
} from '#app/channels/device-commands.ts';
import { sessionGait, sessionMotion } from '#app/channels/motion-channels.ts';
import { notifications } from '#app/channels/notifications.ts';
import { organisationJobs } from '#app/channels/organisation-jobs.ts';
import { sessionAnnotations } from '#app/channels/session-annotations.ts';
import { sessionChat } from '#app/channels/session-chat.ts';
import { sessionReadings } from '#app/channels/session-readings.ts';

export interface BuiltInChannels {
  readonly definitions: readonly AnyChannel[];
  readonly commands: DeviceCommands;
}

/** `onRequested` hears of every command that is asked for here. */
export function createBuiltInChannels(onRequested: OnRequested): BuiltInChannels {
  const commands = createDeviceCommands(onRequested);
  return {
    definitions: [
      sessionReadings,
      sessionMotion,
      sessionGait,
      organisationJobs,
      sessionAnnotations,
      sessionChat,
      commands,
      notifications,
    ],
    commands,
  };
}

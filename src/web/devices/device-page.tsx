/** Owns the page of devices and of the keys with which programs read: what there is, new ones, exchanged and refused ones. */

import { useMay } from '#web/account/account-context.ts';
import { AccessKeys } from '#web/devices/access-keys.tsx';
import { DeviceList } from '#web/devices/device-list.tsx';
import { usePageTitle } from '#web/page-title.ts';

export function DevicePage() {
  usePageTitle('Devices');
  const may = useMay();
  return (
    <div className="page">
      <DeviceList />
      {may('key.manage') && <AccessKeys />}
    </div>
  );
}

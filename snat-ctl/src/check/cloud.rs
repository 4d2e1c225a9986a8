//! The cloud's source/destination check: it is outside of this host, so all that can be said is how to look.

use std::fs;

use super::Finding;

/// A cloud, by what its machines say of themselves (DMI), and how its check is looked at and turned off.
struct Cloud {
    name: &'static str,
    /// File below `/sys/class/dmi/id`, and what it begins with.
    mark: (&'static str, &'static str),
    fix: &'static str,
}

const CLOUDS: [Cloud; 6] = [
    Cloud {
        name: "Amazon EC2",
        mark: ("sys_vendor", "Amazon EC2"),
        fix: "aws ec2 describe-network-interface-attribute --attribute sourceDestCheck \
              --network-interface-id ENI must say false; aws ec2 modify-network-interface-attribute \
              --no-source-dest-check --network-interface-id ENI makes it so",
    },
    Cloud {
        name: "Google Cloud",
        mark: ("product_name", "Google Compute Engine"),
        fix: "gcloud compute instances describe VM --format='value(canIpForward)' must say True; the VM is \
              made with --can-ip-forward",
    },
    Cloud {
        name: "Microsoft Azure",
        mark: ("chassis_asset_tag", "7783-7084-3265-9085-8269-3286-77"),
        fix: "az network nic show --ids NIC --query enableIPForwarding must say true; az network nic update \
              --ids NIC --ip-forwarding true makes it so",
    },
    Cloud {
        name: "Huawei Cloud",
        mark: ("chassis_asset_tag", "HUAWEICLOUD"),
        fix: "console: the ECS, Network Interfaces, Source/Destination Check must be off on the NIC",
    },
    Cloud {
        name: "Alibaba Cloud",
        mark: ("product_name", "Alibaba Cloud ECS"),
        fix: "console: the ENI's source/destination check, where it has one, must be off; the security group \
              must let the clients' packets in",
    },
    Cloud {
        name: "OpenStack",
        mark: ("product_name", "OpenStack"),
        fix: "openstack port show PORT: port_security_enabled must be False, or allowed_address_pairs must \
              have the clients' prefixes",
    },
];

const ANY: &str = "in a cloud: turn source/destination check off (IP forwarding on) for this machine's NIC; \
                   elsewhere there is none";

pub(super) fn findings() -> Vec<Finding> {
    let read = |file: &str| fs::read_to_string(format!("/sys/class/dmi/id/{file}")).ok();
    vec![judge(read)]
}

fn judge(read: impl Fn(&str) -> Option<String>) -> Finding {
    let here = CLOUDS.iter().find(|cloud| {
        let (file, begins) = cloud.mark;
        read(file).is_some_and(|text| text.trim_start().starts_with(begins))
    });
    let whose = here.map_or_else(String::new, |cloud| format!(" ({})", cloud.name));
    let finding = Finding::info(
        "cloud.source_check",
        format!("source/destination check of the cloud{whose} cannot be seen from this host"),
        "with it on, the VPC drops what is not from or for this host's own address, and that is all that \
         a gateway forwards",
        here.map_or(ANY, |cloud| cloud.fix),
    );
    match here {
        Some(cloud) => finding.about(cloud.name),
        None => finding,
    }
}

#[cfg(test)]
mod tests {
    use super::judge;

    #[test]
    fn the_cloud_is_known_by_its_machines_own_words_and_has_its_own_remedy() {
        for (file, text, name, words) in [
            (
                "sys_vendor",
                "Amazon EC2\n",
                Some("Amazon EC2"),
                "--no-source-dest-check",
            ),
            (
                "product_name",
                "Google Compute Engine\n",
                Some("Google Cloud"),
                "canIpForward",
            ),
            (
                "product_name",
                "Alibaba Cloud ECS\n",
                Some("Alibaba Cloud"),
                "ENI",
            ),
            (
                "product_name",
                "OpenStack Nova\n",
                Some("OpenStack"),
                "port_security_enabled",
            ),
            ("sys_vendor", "QEMU\n", None, "in a cloud"),
        ] {
            let finding = judge(|asked| (asked == file).then(|| text.to_owned()));
            assert_eq!(finding.subject.as_deref(), name);
            let fix = finding.fix.unwrap_or_default();
            assert!(fix.contains(words), "{fix}");
        }
    }
}

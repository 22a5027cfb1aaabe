//! Which sites are alike: those at the same place of every block.

use crate::norm::site::NormSite;

/// Stack and path inside the block.
pub(super) type Key = (String, String);

/// What a site is compared with: the same norm in every block.
pub(super) fn key(site: &NormSite) -> Key {
    if site.unnamed {
        return (String::new(), site.width.to_string());
    }
    let inside = site.block_path.as_ref().map_or(site.name.as_str(), |block| &site.name[block.len()..]);
    (site.stack.clone(), inside.to_owned())
}

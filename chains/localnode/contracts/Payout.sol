// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

// Pays ether on by internal transfers, which leave no log.
contract Payout {
    // Pays the same to each.
    function pay(address payable[] calldata to) external payable {
        uint256 share = msg.value / to.length;
        for (uint256 i; i < to.length; i++) {
            (bool ok, ) = to[i].call{value: share}("");
            require(ok, "refused");
        }
    }

    // Pays half to the first. The second is paid too, in a call that succeeds
    // within one that reverts: it gets nothing, and its half stays here.
    function payFirst(address payable first, address payable second) external payable {
        (bool ok, ) = first.call{value: msg.value / 2}("");
        require(ok, "refused");
        try this.payAndRevert{value: msg.value / 2}(second) {
            revert("must revert");
        } catch {}
    }

    function payAndRevert(address payable to) external payable {
        (bool ok, ) = to.call{value: msg.value}("");
        require(ok, "refused");
        revert("taken back");
    }
}

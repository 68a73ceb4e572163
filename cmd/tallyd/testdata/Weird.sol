// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

// An ERC-20 that does what tokens should not. Compiled like the contracts in
// chains/localnode/contracts.
contract Weird {
    event Transfer(address indexed from, address indexed to, uint256 value);
    event Deposit(address indexed to, uint256 value);
    event TransferSingle(address indexed operator, address indexed from, address indexed to, uint256 id, uint256 value);

    uint8 public constant decimals = 6;
    string public constant symbol = "WEIRD";
    mapping(address => uint256) public balanceOf;

    constructor() {
        balanceOf[msg.sender] = 1e18;
        emit Transfer(address(0), msg.sender, 1e18);
    }

    function move(address from, address to, uint256 value) private {
        balanceOf[from] -= value;
        balanceOf[to] += value;
    }

    // As it should be.
    function transfer(address to, uint256 value) public returns (bool) {
        move(msg.sender, to, value);
        emit Transfer(msg.sender, to, value);
        return true;
    }

    // Two transfers in one transaction.
    function twice(address to, uint256 value) external {
        transfer(to, value);
        transfer(to, value);
    }

    // Out of nothing.
    function mint(address to, uint256 value) external {
        balanceOf[to] += value;
        emit Transfer(address(0), to, value);
    }

    // Keeps a tenth, and logs the whole.
    function taxed(address to, uint256 value) public {
        move(msg.sender, to, value - value / 10);
        emit Transfer(msg.sender, to, value);
    }

    // Logs, and moves nothing.
    function claim(address to, uint256 value) external {
        emit Transfer(msg.sender, to, value);
    }

    // Moves, and logs nothing.
    function quiet(address to, uint256 value) external {
        move(msg.sender, to, value);
    }

    // Gives, and takes back in the same transaction.
    function bounce(address to, uint256 value) external {
        transfer(to, value);
        move(to, msg.sender, value);
        emit Transfer(to, msg.sender, value);
    }

    // As WETH9 does it: no Transfer, but a Deposit.
    function wrap(address to, uint256) external payable {
        balanceOf[to] += msg.value;
        emit Deposit(to, msg.value);
    }

    // As tokens do whose balances follow something else.
    function rebase(address who, uint256 value) external {
        balanceOf[who] = value;
    }

    // What an ERC-1155 logs, once well and once with lengths that lie.
    function things(address to, uint256 id) external {
        emit TransferSingle(msg.sender, msg.sender, to, id, 1000);
        bytes32 topic = keccak256("TransferBatch(address,address,address,uint256[],uint256[])");
        assembly {
            mstore(0, 0x40)
            mstore(0x20, 0xffffffffffffffff)
            log4(0, 0x40, topic, caller(), caller(), to)
        }
    }

    // What an ERC-721 logs: the same first topic, and the number of a thing.
    function thing(address to, uint256 id) external {
        bytes32 topic = Transfer.selector;
        assembly {
            log4(0, 0, topic, caller(), to, id)
        }
    }
}

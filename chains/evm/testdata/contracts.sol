// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

// What the tests of package evm deploy. contracts.json holds it compiled by
// solc 0.8.37 with the optimizer on, for the cancun EVM.

contract Token {
    mapping(address => uint256) public balanceOf; // slot 0
    uint256 public totalSupply;
    string public name;
    string public symbol;
    uint8 public constant decimals = 6;

    event Transfer(address indexed from, address indexed to, uint256 value);
    event TransferSingle(address indexed operator, address indexed from, address indexed to, uint256 id, uint256 value);
    event Deposit(address indexed dst, uint256 wad);
    event Withdrawal(address indexed src, uint256 wad);

    constructor(string memory name_, string memory symbol_, uint256 supply) {
        name = name_;
        symbol = symbol_;
        totalSupply = supply;
        balanceOf[msg.sender] = supply;
        emit Transfer(address(0), msg.sender, supply);
    }

    function transfer(address to, uint256 value) public returns (bool) {
        require(balanceOf[msg.sender] >= value, "balance");
        balanceOf[msg.sender] -= value;
        balanceOf[to] += value;
        emit Transfer(msg.sender, to, value);
        return true;
    }

    // spread sends value to each of many addresses, with one log each.
    function spread(address[] calldata to, uint256 value) external {
        for (uint256 i = 0; i < to.length; i++) transfer(to[i], value);
    }

    // refuse is the old form that returns false where it should fail.
    function refuse(address, uint256) external pure returns (bool) { return false; }

    // forge logs what never happened.
    function forge(address from, address to, uint256 value) external { emit Transfer(from, to, value); }

    // forge721 logs the Transfer of ERC-721, whose first topic is the same.
    function forge721(address from, address to, uint256 id) external {
        bytes32 topic = keccak256("Transfer(address,address,uint256)");
        assembly { log4(0, 0, topic, from, to, id) }
    }

    // forgeOld logs a Transfer with nothing indexed.
    function forgeOld(address from, address to, uint256 value) external {
        bytes32 topic = keccak256("Transfer(address,address,uint256)");
        bytes memory data = abi.encode(from, to, value);
        assembly { log1(add(data, 32), mload(data), topic) }
    }

    // forgeWide logs a Transfer whose topics are wider than an address.
    function forgeWide(address to, uint256 value) external {
        bytes32 topic = keccak256("Transfer(address,address,uint256)");
        uint256 wide = uint256(uint160(to)) | (1 << 255);
        assembly { mstore(0, value) log3(0, 32, topic, wide, wide) }
    }

    function forge1155(address from, address to, uint256 value) external { emit TransferSingle(msg.sender, from, to, 1, value); }

    function deposit() external payable {
        balanceOf[msg.sender] += msg.value;
        emit Deposit(msg.sender, msg.value);
    }

    function withdraw(uint256 value) external {
        balanceOf[msg.sender] -= value;
        payable(msg.sender).transfer(value);
        emit Withdrawal(msg.sender, value);
    }

    function burn(uint256 value) external {
        balanceOf[msg.sender] -= value;
        emit Transfer(msg.sender, address(0), value);
    }
}

contract Child {
    constructor() payable {}
    function destroy(address payable to) external { selfdestruct(to); }
}

contract Payer {
    receive() external payable {}

    // pay sends value on, by an internal call.
    function pay(address payable to) external payable { (bool ok,) = to.call{value: msg.value}(""); require(ok); }

    function payAndFail(address payable to) external payable {
        (bool ok,) = to.call{value: msg.value}("");
        require(!ok, "fails after paying");
    }

    // tryPay has an inner frame that pays and then fails, and goes on.
    function tryPay(address payable to) external payable {
        try this.payAndFail{value: msg.value}(to) {} catch {}
    }

    // give makes a contract with value, which destroys itself for to.
    function give(address payable to) external payable { new Child{value: msg.value}().destroy(to); }

    // failTransfer calls a token and swallows its failure.
    function failTransfer(address token, address to) external {
        (bool ok,) = token.call(abi.encodeWithSignature("transfer(address,uint256)", to, 1));
        ok;
    }
}

// Liar answers balanceOf by failing with words that nodes use of themselves.
contract Liar {
    function balanceOf(address) external pure returns (uint256) { revert("missing trie node: header not found"); }
}

// Greedy answers balanceOf by moving a token it holds, or by burning all gas.
contract Greedy {
    Token public token;
    bool public burns;
    constructor(Token token_, bool burns_) { token = token_; burns = burns_; }
    function balanceOf(address holder) external returns (uint256) {
        while (burns) {}
        token.transfer(holder, 1);
        return 7;
    }
    function symbol() external pure returns (string memory) { return unicode"US\u202eDC"; }
    function name() external pure returns (bytes32) { return "Old name"; }
    function decimals() external pure returns (uint256) { return 300; }
}

contract Multicall {
    struct Call3 { address target; bool allowFailure; bytes callData; }
    struct Result { bool success; bytes returnData; }
    function aggregate3(Call3[] calldata calls) external payable returns (Result[] memory results) {
        results = new Result[](calls.length);
        for (uint256 i = 0; i < calls.length; i++) {
            (results[i].success, results[i].returnData) = calls[i].target.call(calls[i].callData);
            require(results[i].success || calls[i].allowFailure, "Multicall3: call failed");
        }
    }
}
